// The cheap one: public addresses that let in identities only, and a database that is stopped when nothing is to do.
// What differs from prod are defaults in main.bicep. Add what differs from a default; with azd see README.md, Parameters.
using './main.bicep'

param environmentName = 'dev'
