// Once per environment, by an owner: an identity as which the workflow of one GitHub environment deploys, without a secret.
// deploy/github.sh <owner>/<name> --apply reads the ids below and runs
//   az deployment group create --resource-group quantx-dev --template-file infra/github.bicep --parameters repository=<owner>/<name>
targetScope = 'resourceGroup'

@description('owner/name, as GitHub spells it.')
param repository string

@description('The ids of owner and repository: gh api repos/<owner>/<name> --jq .owner.id,.id. Both, or neither for a repository whose tokens have no ids: one made before 2026-07-15 that has not opted in (github/docs#45221).')
param ownerId string = ''
param repositoryId string = ''

@description('The environment in GitHub; its protection rules restrict deployments.')
@allowed([
  'dev'
  'prod'
])
param environmentName string = 'dev'
param location string = resourceGroup().location

var parts = split(repository, '/')
var subject = empty(repositoryId) ? 'repo:${repository}' : 'repo:${parts[0]}@${ownerId}/${parts[1]}@${repositoryId}'
var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'
var contributor = 'b24988ac-6180-42a0-ab88-20f7382dd24c' // Contributor
var accessAdministrator = 'f58310d9-a9f6-439a-9e8d-f62e7b41a168' // Role Based Access Control Administrator
var powerRole = guid(resourceGroup().id, 'database-power')
var lakeWriter = guid(resourceGroup().id, 'lake-writer')
var rawWriter = guid(resourceGroup().id, 'raw-writer')
var jobOperator = guid(resourceGroup().id, 'job-operator')
// The roles of modules/roles.bicep, operators.bicep and power.bicep; the workflow can hand out and take back these and no
// others: not the eraser's.
var assignable = [
  'b7e6dc6d-f1e8-4753-8033-0f276bb0955b' // Storage Blob Data Owner
  '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
  '974c5e8b-45b9-4653-ba55-5f855dd0fb88' // Storage Queue Data Contributor
  '19e7f393-937e-4f77-808e-94535e297925' // Storage Queue Data Reader
  'c6a89b2d-59bc-44d0-9896-0f6e12d7b80a' // Storage Queue Data Message Sender
  '0a9a7e1f-b9d0-4cc4-a60d-0319b160aaa3' // Storage Table Data Contributor
  '7f951dda-4ed3-4680-a7ca-43fe172d538d' // AcrPull
  '4633458b-17de-408a-b874-0445c86b69e6' // Key Vault Secrets User
  'b86a8fe4-44ce-4948-aee5-eccb2c155cd7' // Key Vault Secrets Officer
  '3913510d-42f4-4e42-8a64-420c390055eb' // Monitoring Metrics Publisher
  '73c42c96-874c-492b-b04d-ab87d138a893' // Log Analytics Reader
  powerRole
  lakeWriter
  rawWriter
  jobOperator
]
var ids = join(assignable, ', ')
var toIdentities = '((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/write\'})) OR (@Request[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${ids}})) AND ((!(ActionMatches{\'Microsoft.Authorization/roleAssignments/delete\'})) OR (@Resource[Microsoft.Authorization/roleAssignments:RoleDefinitionId] ForAnyOfAnyValues:GuidEquals {${ids}}))'

resource deployer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'quantx-${environmentName}-deployer'
  location: location
}

resource fromGitHub 'Microsoft.ManagedIdentity/userAssignedIdentities/federatedIdentityCredentials@2024-11-30' = {
  parent: deployer
  name: 'github-${environmentName}'
  properties: {
    issuer: 'https://token.actions.githubusercontent.com'
    subject: '${subject}:environment:${environmentName}'
    audiences: [
      'api://AzureADTokenExchange'
    ]
  }
}

// Made here, because the workflow may not make roles (it could make itself a larger one): deploy with makeCustomRole=false.
resource starter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: powerRole
  properties: {
    roleName: 'quantx database power ${powerRole}'
    description: 'Start and stop a PostgreSQL flexible server; see whether it runs, and whether jobs or a deployment use it.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.DBforPostgreSQL/flexibleServers/read'
          'Microsoft.DBforPostgreSQL/flexibleServers/start/action'
          'Microsoft.DBforPostgreSQL/flexibleServers/stop/action'
          'Microsoft.App/jobs/read'
          'Microsoft.App/jobs/executions/read'
          'Microsoft.Resources/subscriptions/resourceGroups/read'
        ]
        notActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

module customRoles 'modules/custom_roles.bicep' = {
  name: 'custom-roles'
}

resource mayDeploy 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, contributor)
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${contributor}'
    description: 'Makes and changes what is in this resource group.'
  }
}

resource mayAssign 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  name: guid(resourceGroup().id, deployer.id, accessAdministrator)
  properties: {
    principalId: deployer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${accessAdministrator}'
    description: 'Hands out the roles of the components, and no others.'
    condition: toIdentities
    conditionVersion: '2.0'
  }
}

output AZURE_CLIENT_ID string = deployer.properties.clientId
output AZURE_TENANT_ID string = subscription().tenantId
output AZURE_SUBSCRIPTION_ID string = subscription().subscriptionId
output SUBJECT string = '${subject}:environment:${environmentName}'
