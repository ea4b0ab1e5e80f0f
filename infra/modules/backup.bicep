// The place of backups: a storage account in another region, which the job `backup` fills (modules/jobs.bicep). The
// worker creates objects there and reads them; it can neither replace nor delete one unless `keepDays` asks for that.
//
// A flat namespace: there the right blobs/add/action creates blobs and no more, and replaced blobs stay as versions.
// https://learn.microsoft.com/rest/api/storageservices/put-blob#permissions
param location string
param accountName string
@description('Allowed networks and addresses. Both empty: any address, with the right role. Service endpoints of the lake\'s region reach its paired region only.')
param subnetIds array
param allowedAddresses array
param workerId string
@description('Backups older than this are deleted; 0: none, and the worker has no right to delete.')
param keepDays int
@description('Lock the account against deletion.')
param lockData bool
param softDeleteDays int = 30

var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'
// Made by custom_roles.bicep: the first creates and reads, the second reads and deletes.
var writer = guid(resourceGroup().id, 'raw-writer')
var eraser = guid(resourceGroup().id, 'eraser')
var isPrivate = !empty(subnetIds)

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: accountName
  location: location
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Cool' // backups are read only by `verify` and `restore`
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    allowedCopyScope: 'AAD'
    defaultToOAuthAuthentication: true
    isHnsEnabled: false
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      virtualNetworkRules: [
        for id in subnetIds: {
          id: id
          action: 'Allow'
        }
      ]
      ipRules: [
        for address in (isPrivate ? allowedAddresses : []): {
          value: address
          action: 'Allow'
        }
      ]
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' = {
  parent: account
  name: 'default'
  properties: {
    isVersioningEnabled: true
    deleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: softDeleteDays
    }
  }
}

resource backups 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = {
  parent: blobs
  name: 'backups'
  properties: {
    publicAccess: 'None'
  }
}

resource mayWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: backups
  name: guid(backups.id, workerId, writer)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${writer}'
    description: 'Stores backups, and reads them back.'
  }
}

resource mayErase 'Microsoft.Authorization/roleAssignments@2022-04-01' = if (keepDays > 0) {
  scope: backups
  name: guid(backups.id, workerId, eraser)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${eraser}'
    description: 'Deletes backups that are older than the parameter says.'
  }
}

resource kept 'Microsoft.Authorization/locks@2020-05-01' = if (lockData) {
  scope: account
  name: 'keep-backups'
  properties: {
    level: 'CanNotDelete'
    notes: 'The backups. deploy/teardown.sh removes this lock.'
  }
}

output url string = '${account.properties.primaryEndpoints.blob}${backups.name}'
output accountName string = account.name
