// One identity per component, so that each gets the rights that it needs and no other's (roles.bicep).
param location string
param prefix string

// Fetches, stores and curates; also backfills and sweeps.
resource worker 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-worker'
  location: location
}

// Plans, enqueues and reports.
resource functions 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-functions'
  location: location
}

// Administers the database for as long as a migration takes; nothing else runs as it.
resource migrator 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-migrator'
  location: location
}

// Starts and stops the database.
resource power 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-power'
  location: location
}

// Reads for the pages of the dashboard.
resource dashboard 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-dashboard'
  location: location
}

// Acts for the operators of the dashboard.
resource operator 'Microsoft.ManagedIdentity/userAssignedIdentities@2024-11-30' = {
  name: '${prefix}-operator'
  location: location
}

output worker object = {
  id: worker.id
  name: worker.name
  principalId: worker.properties.principalId
  clientId: worker.properties.clientId
}
output functions object = {
  id: functions.id
  name: functions.name
  principalId: functions.properties.principalId
  clientId: functions.properties.clientId
}
output migrator object = {
  id: migrator.id
  name: migrator.name
  principalId: migrator.properties.principalId
  clientId: migrator.properties.clientId
}
output power object = {
  id: power.id
  name: power.name
  principalId: power.properties.principalId
  clientId: power.properties.clientId
}
output dashboard object = {
  id: dashboard.id
  name: dashboard.name
  principalId: dashboard.properties.principalId
  clientId: dashboard.properties.clientId
}
output operator object = {
  id: operator.id
  name: operator.name
  principalId: operator.properties.principalId
  clientId: operator.properties.clientId
}
