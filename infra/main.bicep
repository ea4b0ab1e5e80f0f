// What the system uses today: a lake, a database, and a job that drains the queue; all sign-ins by identity, no keys.
// Deploy into a resource group with deploy/deploy_hybrid.sh; read README.md beside this file first.
targetScope = 'resourceGroup'

@description('Where everything lies.')
param location string = resourceGroup().location

@description('The storage account of the lake; a name of its own in all of Azure.')
@minLength(3)
@maxLength(24)
param storageAccountName string

@description('The registry of the image; a name of its own in all of Azure.')
@minLength(5)
@maxLength(50)
param acrName string

@description('The image, as quantx:<tag> in the registry. Empty: everything but the job, for the first time when no image exists.')
param image string = ''

@description('How long one execution of the job may take, in seconds; the worker takes no new work after 80 % of it.')
@minValue(300)
@maxValue(86400)
param replicaTimeout int = 3600

var suffix = uniqueString(resourceGroup().id)

resource identity 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: 'quantx-worker'
  location: location
}

module storage 'modules/storage.bicep' = {
  name: 'storage'
  params: {
    location: location
    accountName: storageAccountName
    principalId: identity.properties.principalId
  }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  params: {
    location: location
    registryName: acrName
    principalId: identity.properties.principalId
  }
}

module postgres 'modules/postgres.bicep' = {
  name: 'postgres'
  params: {
    location: location
    serverName: 'quantx-pg-${suffix}'
    principalId: identity.properties.principalId
    principalName: identity.name
  }
}

module worker 'modules/worker.bicep' = {
  name: 'worker'
  params: {
    location: location
    image: empty(image) ? '' : '${registry.outputs.loginServer}/${image}'
    registryServer: registry.outputs.loginServer
    identityId: identity.id
    replicaTimeout: replicaTimeout
    settings: [
      { name: 'AZURE_CLIENT_ID', value: identity.properties.clientId }
      { name: 'AZURE_STORAGE_ACCOUNT', value: storageAccountName }
      { name: 'QUANTX_LAKE_URL', value: 'az://${storage.outputs.containerName}' }
      {
        name: 'QUANTX_STATE_URL'
        value: 'postgresql://${identity.name}@${postgres.outputs.host}:5432/${postgres.outputs.databaseName}?sslmode=require'
      }
    ]
  }
}

output lakeUrl string = 'az://${storage.outputs.containerName}'
output databaseHost string = postgres.outputs.host
output registryServer string = registry.outputs.loginServer
output jobName string = worker.outputs.jobName
