// Azure Machine Learning, with machineLearning = true: a workspace, and two clusters that have no machine while no job runs.
// `train` runs as an identity that only reads the lake; `daily` runs as the worker, which commits tables.
//
// The workspace has a storage account and a vault of its own. Its account can't have a hierarchical namespace, and its
// identity manages both (learn.microsoft.com/azure/machine-learning/concept-workspace, "Associated resources").
param location string
param prefix string
param suffix string
param registryName string
param insightsName string
param lakeAccount string
param lakeContainer string
@description('The worker: id, principalId.')
param worker object
@description('The size of a machine; each job gets one.')
param vmSize string
@description('The most machines of a cluster at the same time.')
param maxNodes int
@description('Machines that Azure can take away: cheaper, and a job begins anew.')
param lowPriority bool

var role = {
  blobReader: '2a2b9908-6ea1-4ae2-8e65-a410df84e7d1' // Storage Blob Data Reader
  blobContributor: 'ba92f5b4-2d11-453d-a403-e96b0029c9fe' // Storage Blob Data Contributor
  pull: '7f951dda-4ed3-4680-a7ca-43fe172d538d' // AcrPull
}
var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'

// Reads the lake and trains models; may change nothing in the lake.
resource trainer 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-trainer'
  location: location
}

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' = {
  name: 'qxml${suffix}'
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
    isHnsEnabled: false
    isLocalUserEnabled: false
    isSftpEnabled: false
    minimumTlsVersion: 'TLS1_2'
    publicNetworkAccess: 'Enabled'
    supportsHttpsTrafficOnly: true
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Allow'
    }
  }
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' = {
  parent: account
  name: 'default'
  properties: {
    deleteRetentionPolicy: {
      enabled: true
      days: 30
    }
    containerDeleteRetentionPolicy: {
      enabled: true
      days: 30
    }
  }
}

resource vault 'Microsoft.KeyVault/vaults@2026-02-01' = {
  name: 'qxml${suffix}'
  location: location
  properties: {
    tenantId: subscription().tenantId
    sku: {
      family: 'A'
      name: 'standard'
    }
    enableRbacAuthorization: true
    enableSoftDelete: true
    enablePurgeProtection: true
    softDeleteRetentionInDays: 7
    publicNetworkAccess: 'Enabled'
    networkAcls: {
      bypass: 'AzureServices'
      defaultAction: 'Allow'
    }
  }
}

resource insights 'Microsoft.Insights/components@2020-02-02' existing = {
  name: insightsName
}

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' existing = {
  name: registryName
}

resource lakeOwner 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: lakeAccount
}

resource lakeBlobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: lakeOwner
  name: 'default'
}

resource lake 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' existing = {
  parent: lakeBlobs
  name: lakeContainer
}

resource workspace 'Microsoft.MachineLearningServices/workspaces@2025-06-01' = {
  name: '${prefix}-ml'
  location: location
  kind: 'Default'
  sku: {
    name: 'Basic'
    tier: 'Basic'
  }
  identity: {
    type: 'SystemAssigned'
  }
  properties: {
    friendlyName: '${prefix}-ml'
    storageAccount: account.id
    keyVault: vault.id
    applicationInsights: insights.id
    containerRegistry: registry.id
    publicNetworkAccess: 'Enabled'
    systemDatastoresAuthMode: 'Identity'
    v1LegacyMode: false
  }
}

resource train 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  parent: workspace
  name: 'train'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${trainer.id}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    computeLocation: location
    description: 'Trains models; reads the lake.'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: vmSize
      vmPriority: lowPriority ? 'LowPriority' : 'Dedicated'
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0 // no machine is paid between jobs
        maxNodeCount: maxNodes
        nodeIdleTimeBeforeScaleDown: 'PT2M'
      }
    }
  }
  dependsOn: [
    trainerPulls
  ]
}

resource daily 'Microsoft.MachineLearningServices/workspaces/computes@2025-06-01' = {
  parent: workspace
  name: 'daily'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${worker.id}': {}
    }
  }
  properties: {
    computeType: 'AmlCompute'
    computeLocation: location
    description: 'Predicts after the daily update; commits to the lake as the worker.'
    disableLocalAuth: true
    properties: {
      osType: 'Linux'
      vmSize: vmSize
      vmPriority: 'Dedicated' // it has to end within the hours of the database
      remoteLoginPortPublicAccess: 'Disabled'
      scaleSettings: {
        minNodeCount: 0 // no machine is paid between jobs
        maxNodeCount: 1
        nodeIdleTimeBeforeScaleDown: 'PT2M'
      }
    }
  }
}

resource trainerReads 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: lake
  name: guid(lake.id, trainer.id, role.blobReader)
  properties: {
    principalId: trainer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobReader}'
    description: 'Reads tables and features for training; not the raw container.'
  }
}

resource trainerPulls 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: registry
  name: guid(registry.id, trainer.id, role.pull)
  properties: {
    principalId: trainer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.pull}'
    description: 'Runs the image of models.'
  }
}

resource trainerStores 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, trainer.id, role.blobContributor)
  properties: {
    principalId: trainer.properties.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobContributor}'
    description: 'Writes models, reports and logs of jobs into the workspace\'s account.'
  }
}

resource workerStores 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: account
  name: guid(account.id, worker.id, role.blobContributor)
  properties: {
    principalId: worker.principalId
    principalType: 'ServicePrincipal'
    roleDefinitionId: '${definitions}/${role.blobContributor}'
    description: 'Reads models, and writes logs of jobs into the workspace\'s account.'
  }
}

output workspaceName string = workspace.name
output trainerClientId string = trainer.properties.clientId
