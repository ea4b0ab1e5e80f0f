// Raw objects: a container of their own beside the lake's, whose objects can be neither replaced nor deleted for
// `retentionDays`. What the policy blocks, who can remove it, and how objects are deleted: README.md, "Raw objects".
// Sources: azure-docs, storage/blobs/immutable-container-level-worm-policies and
// immutable-time-based-retention-policy-overview.
param accountName string
@description('0 writes no policy: for one that is locked, which a deployment can\'t write again.')
@minValue(0)
@maxValue(146000)
param retentionDays int

resource account 'Microsoft.Storage/storageAccounts@2026-04-01' existing = {
  name: accountName
}

resource blobs 'Microsoft.Storage/storageAccounts/blobServices@2026-04-01' existing = {
  parent: account
  name: 'default'
}

resource raw 'Microsoft.Storage/storageAccounts/blobServices/containers@2026-04-01' = {
  parent: blobs
  name: 'raw'
  properties: {
    publicAccess: 'None'
  }
}

// Unlocked: an owner can shorten or remove it. A lock is irreversible, so a person sets it (docs/operations.md).
resource retention 'Microsoft.Storage/storageAccounts/blobServices/containers/immutabilityPolicies@2026-04-01' = if (retentionDays > 0) {
  parent: raw
  name: 'default'
  properties: {
    immutabilityPeriodSinceCreationInDays: retentionDays
    allowProtectedAppendWrites: false
  }
}

output containerName string = raw.name
