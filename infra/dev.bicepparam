// The cheap one: public addresses that let in identities only, and a database that is stopped when nothing is to do.
using './main.bicep'

param environmentName = 'dev'
param database = 'window'
param privateNetwork = false
param monthlyBudget = 15
