// What the Functions host needs for itself: leases of timers, its own keys, the package. Apart from the lake, because the
// host wants to own everything in its account, and because it can't live in a hierarchical namespace.
param location string
param accountName string
@description('Allowed networks and addresses. Both empty: any address, with the right role.')
param subnetIds array
param allowedAddresses array

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
    isLocalUserEnabled: false
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
      days: 7
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 7
    }
  }
}

resource packages 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = {
  parent: blobs
  name: 'packages'
  properties: {
    publicAccess: 'None'
  }
}

output accountName string = account.name
output packages string = '${account.properties.primaryEndpoints.blob}${packages.name}'
