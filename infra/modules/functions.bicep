// The Functions app: timers and HTTP that plan and enqueue. Flex Consumption: nothing is paid while nothing runs.
param location string
param appName string
@description('The app\'s identity: id, clientId.')
param identity object
param hostAccount string
@description('URL of the container in which the package lies.')
param packages string
param vaultUri string
@description('Empty: the network that Azure provides.')
param subnetId string
@description('Addresses that may call the app (CIDR). Empty: any address, with the app\'s key.')
param allowedAddresses array
@description('Settings whose value is a secret in the vault: [{ setting, secret }].')
param secrets array
param settings array

var storage = az.environment().suffixes.storage
// The host signs in to its own storage by identity: the double underscores take the place of a connection string.
var own = [
  { name: 'AzureWebJobsStorage__credential', value: 'managedidentity' }
  { name: 'AzureWebJobsStorage__clientId', value: identity.clientId }
  { name: 'AzureWebJobsStorage__blobServiceUri', value: 'https://${hostAccount}.blob.${storage}' }
  { name: 'AzureWebJobsStorage__queueServiceUri', value: 'https://${hostAccount}.queue.${storage}' }
  { name: 'AzureWebJobsStorage__tableServiceUri', value: 'https://${hostAccount}.table.${storage}' }
  { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'Authorization=AAD;ClientId=${identity.clientId}' }
  { name: 'AZURE_CLIENT_ID', value: identity.clientId }
  { name: 'PYTHON_APPLICATIONINSIGHTS_ENABLE_TELEMETRY', value: 'true' } // else the span of a plan stays in the worker of the host
]
var references = [
  for one in secrets: {
    name: one.setting
    value: '@Microsoft.KeyVault(SecretUri=${vaultUri}secrets/${one.secret})'
  }
]
var allowed = [
  for (address, position) in allowedAddresses: {
    name: 'allowed-${position}'
    action: 'Allow'
    ipAddress: address
    priority: 100 + position
  }
]

resource plan 'Microsoft.Web/serverfarms@2025-03-01' = {
  name: '${take(appName, 35)}-plan' // 40 characters at most (azure-docs, resource-name-rules)
  location: location
  kind: 'functionapp'
  sku: {
    name: 'FC1'
    tier: 'FlexConsumption'
  }
  properties: {
    reserved: true
  }
}

resource app 'Microsoft.Web/sites@2025-03-01' = {
  name: appName
  location: location
  kind: 'functionapp,linux'
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identity.id}': {}
    }
  }
  properties: {
    serverFarmId: plan.id
    httpsOnly: true
    publicNetworkAccess: 'Enabled'
    keyVaultReferenceIdentity: identity.id
    virtualNetworkSubnetId: empty(subnetId) ? null : subnetId
    siteConfig: {
      appSettings: concat(own, settings, references)
      http20Enabled: true
      minTlsVersion: '1.2'
      scmMinTlsVersion: '1.2'
      ipSecurityRestrictions: allowed
      ipSecurityRestrictionsDefaultAction: empty(allowedAddresses) ? 'Allow' : 'Deny'
    }
    functionAppConfig: {
      deployment: {
        storage: {
          type: 'blobContainer'
          value: packages
          authentication: {
            type: 'UserAssignedIdentity'
            userAssignedIdentityResourceId: identity.id
          }
        }
      }
      runtime: {
        name: 'python'
        version: '3.13'
      }
      scaleAndConcurrency: {
        // The app's peak is 225 MB while it plans 5,000 symbols (docs/benchmarks.md, "Functions app"); the host needs some of the rest.
        instanceMemoryMB: 512
        maximumInstanceCount: 40 // Azure accepts 1 to 1,000; timers never need a second instance
      }
    }
  }
}

// Publishing by identity alone: no user name and password for the deployment site.
resource noPasswords 'Microsoft.Web/sites/basicPublishingCredentialsPolicies@2025-03-01' = [
  for site in ['ftp', 'scm']: {
    parent: app
    name: site
    properties: {
      allow: false
    }
  }
]

output host string = app.properties.defaultHostName
output appName string = app.name
