// The lake and the queue: a storage account that takes identities only.
//
// Raw objects are in a container of their own (raw.bicep), because a retention policy would forbid the tables to compact.
// A deleted object can be restored for `softDeleteDays`; a replaced one can't: with a hierarchical namespace there is no
// versioning, and soft delete keeps no overwritten data (azure-docs, storage/blobs/soft-delete-blob-overview).
param location string
param accountName string
@description('Allowed networks and addresses. Both empty: any address, with the right role.')
param subnetIds array
param allowedAddresses array
param softDeleteDays int = 30

var isPrivate = !empty(subnetIds)

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: accountName
  location: location
  sku: {
    name: 'Standard_LRS'
  }
  kind: 'StorageV2'
  properties: {
    accessTier: 'Hot'
    allowBlobPublicAccess: false
    allowCrossTenantReplication: false
    allowSharedKeyAccess: false
    allowedCopyScope: 'AAD'
    defaultToOAuthAuthentication: true
    isHnsEnabled: true
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

resource lake 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = {
  parent: blobs
  name: 'lake'
  properties: {
    publicAccess: 'None'
  }
}

// Raw objects are read again only when something is rebuilt. Tables stay hot: each query reads them.
resource tiers 'Microsoft.Storage/storageAccounts/managementPolicies@2026-04-01' = {
  parent: account
  name: 'default'
  properties: {
    policy: {
      rules: [
        {
          name: 'raw-to-cool'
          enabled: true
          type: 'Lifecycle'
          definition: {
            filters: {
              blobTypes: [
                'blockBlob'
              ]
              prefixMatch: [
                '${lake.name}/raw/' // of installations that have not moved theirs
                'raw/' // the container of raw.bicep
              ]
            }
            actions: {
              baseBlob: {
                tierToCool: {
                  daysAfterModificationGreaterThan: 30
                }
              }
            }
          }
        }
      ]
    }
  }
}

resource queues 'Microsoft.Storage/storageAccounts/queueServices@2026-04-01' = {
  parent: account
  name: 'default'
}

resource tasks 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-04-01' = {
  parent: queues
  name: 'tasks'
}

resource poison 'Microsoft.Storage/storageAccounts/queueServices/queues@2026-04-01' = {
  parent: queues
  name: 'tasks-poison'
}

output accountName string = account.name
output containerName string = lake.name
output queueName string = tasks.name
output poisonQueueName string = poison.name
output queueEndpoint string = account.properties.primaryEndpoints.queue
