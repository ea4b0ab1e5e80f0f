// Vendor keys, and the address of a database of yours. Rights come from roles.bicep, there are no access policies.
param location string
param vaultName string
@description('Allowed networks and addresses. Both empty: any address, with the right role.')
param subnetIds array
param allowedAddresses array

var isPrivate = !empty(subnetIds)

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: vaultName
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    softDeleteRetentionInDays: 7
    enablePurgeProtection: true // can't be taken back; a new deployment after a teardown recovers the vault
    enabledForDeployment: false
    enabledForDiskEncryption: false
    enabledForTemplateDeployment: false
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: isPrivate ? 'Deny' : 'Allow'
      virtualNetworkRules: [
        for id in subnetIds: {
          id: id
        }
      ]
      ipRules: [
        for address in (isPrivate ? allowedAddresses : []): {
          value: address
        }
      ]
    }
  }
}

output vaultName string = vault.name
output uri string = vault.properties.vaultUri
