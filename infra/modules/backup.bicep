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
@description('False where the role exists already, because the deployer may not create roles or locks.')
param makeRole bool
@description('Lock the account against deletion.')
param lockData bool
param softDeleteDays int = 30

var roleName = guid(resourceGroup().id, 'backup-writer')
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

resource writer 'Microsoft.Authorization/roleDefinitions@2022-04-01' = if (makeRole) {
  name: roleName
  properties: {
    roleName: 'quantx backup writer ${roleName}'
    description: 'Create and read blobs; replace none, and delete none unless old backups are deleted.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.Storage/storageAccounts/blobServices/containers/read'
        ]
        notActions: []
        dataActions: concat(
          [
            'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/read'
            'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/add/action'
          ],
          keepDays == 0 ? [] : [
            'Microsoft.Storage/storageAccounts/blobServices/containers/blobs/delete'
          ]
        )
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

resource mayWrite 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: backups
  name: guid(backups.id, workerId, roleName)
  properties: {
    principalId: workerId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions/${roleName}'
    description: 'Stores backups, and reads them back.'
  }
  dependsOn: [
    writer
  ]
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
