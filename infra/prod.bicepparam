// The careful one: a network of its own and a database that never stops. It costs several times as much (README.md).
// What differs from dev are defaults in main.bicep. Add what differs from a default; with azd see README.md, Parameters.
using './main.bicep'

param environmentName = 'prod'
