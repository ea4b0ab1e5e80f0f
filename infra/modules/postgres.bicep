// The state: a small PostgreSQL that knows no passwords. It takes one change at a time, hence the chain of dependsOn.
param location string
param serverName string
@description('Where it lives in the private network. Both empty: an address on the internet, reached from inside Azure only.')
param subnetId string
param privateDnsZoneId string
@description('The identity that brings the schema up to date: object id and name.')
param migratorId string
param migratorName string
@description('A person or group besides. Empty: none.')
param adminPrincipalId string
param adminPrincipalName string
param adminPrincipalType string
@description('Tests run against 18.')
param version string = '18'

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' = {
  name: serverName
  location: location
  sku: {
    name: 'Standard_B1ms'
    tier: 'Burstable'
  }
  properties: {
    version: version
    authConfig: {
      activeDirectoryAuth: 'Enabled'
      passwordAuth: 'Disabled'
      tenantId: subscription().tenantId
    }
    storage: {
      storageSizeGB: 32 // the least there is
      autoGrow: 'Disabled' // storage never shrinks again; the state of 5,000 symbols is far below
    }
    backup: {
      backupRetentionDays: 7
      geoRedundantBackup: 'Disabled'
    }
    highAvailability: {
      mode: 'Disabled'
    }
    network: empty(subnetId) ? {
      publicNetworkAccess: 'Enabled'
    } : {
      delegatedSubnetResourceId: subnetId
      privateDnsZoneArmResourceId: privateDnsZoneId
    }
  }
}

resource database 'Microsoft.DBforPostgreSQL/flexibleServers/databases@2025-08-01' = {
  parent: server
  name: 'quantx'
  properties: {
    charset: 'UTF8'
    collation: 'en_US.utf8'
  }
}

// 0.0.0.0 is Azure's sign for "from inside Azure", any customer's: jobs without a network of their own have no fixed
// address. What keeps strangers out is the sign-in; privateNetwork closes the door as well.
resource fromAzure 'Microsoft.DBforPostgreSQL/flexibleServers/firewallRules@2025-08-01' = if (empty(subnetId)) {
  parent: server
  name: 'from-inside-azure'
  properties: {
    startIpAddress: '0.0.0.0'
    endIpAddress: '0.0.0.0'
  }
  dependsOn: [
    database
  ]
}

resource encrypted 'Microsoft.DBforPostgreSQL/flexibleServers/configurations@2025-08-01' = {
  parent: server
  name: 'require_secure_transport'
  properties: {
    value: 'ON'
    source: 'user-override'
  }
  dependsOn: [
    database
    fromAzure
  ]
}

resource migrator 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = {
  parent: server
  name: migratorId
  properties: {
    principalName: migratorName
    principalType: 'ServicePrincipal'
    tenantId: subscription().tenantId
  }
  dependsOn: [
    encrypted
  ]
}

resource person 'Microsoft.DBforPostgreSQL/flexibleServers/administrators@2025-08-01' = if (!empty(adminPrincipalId)) {
  parent: server
  name: empty(adminPrincipalId) ? 'nobody' : adminPrincipalId
  properties: {
    principalName: adminPrincipalName
    principalType: adminPrincipalType
    tenantId: subscription().tenantId
  }
  dependsOn: [
    migrator
  ]
}
