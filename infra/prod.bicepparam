// The careful one: a network of its own and a database that never stops. It costs several times as much (README.md).
using './main.bicep'

param environmentName = 'prod'
param database = 'always'
param privateNetwork = true
param monthlyBudget = 60
