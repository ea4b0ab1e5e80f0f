// A network of its own, or nothing at all. Lake and vault are closed to everybody but its subnets (service endpoints, which
// cost nothing; private endpoints would cost more than the rest of the system), the database lives inside it.
param enabled bool
param location string
param prefix string

var name = '${prefix}-net'
var endpoints = [
  { service: 'Microsoft.Storage' }
  { service: 'Microsoft.KeyVault' }
]
var toEnvironments = [
  {
    name: 'environments'
    properties: {
      serviceName: 'Microsoft.App/environments'
    }
  }
]

// Without rules of its own a security group denies all inbound traffic from outside the network; nothing listens there anyway.
resource nobodyIn 'Microsoft.Network/networkSecurityGroups@2025-09-01' = if (enabled) {
  name: '${prefix}-nobody-in'
  location: location
  properties: {
    securityRules: []
  }
}

resource network 'Microsoft.Network/virtualNetworks@2025-09-01' = if (enabled) {
  name: name
  location: location
  properties: {
    addressSpace: {
      addressPrefixes: [
        '10.60.0.0/22'
      ]
    }
    subnets: [
      {
        name: 'containers'
        properties: {
          addressPrefix: '10.60.0.0/24'
          delegations: toEnvironments
          serviceEndpoints: endpoints
          networkSecurityGroup: {
            id: nobodyIn.id
          }
        }
      }
      {
        name: 'functions'
        properties: {
          addressPrefix: '10.60.1.0/24'
          delegations: toEnvironments
          serviceEndpoints: endpoints
          networkSecurityGroup: {
            id: nobodyIn.id
          }
        }
      }
      {
        name: 'database'
        properties: {
          addressPrefix: '10.60.2.0/28'
          delegations: [
            {
              name: 'postgres'
              properties: {
                serviceName: 'Microsoft.DBforPostgreSQL/flexibleServers'
              }
            }
          ]
          serviceEndpoints: [
            { service: 'Microsoft.Storage' }
          ]
          networkSecurityGroup: {
            id: nobodyIn.id
          }
        }
      }
    ]
  }
}

resource zone 'Microsoft.Network/privateDnsZones@2024-06-01' = if (enabled) {
  name: '${prefix}.private.postgres.database.azure.com'
  location: 'global'
}

resource zoneInNetwork 'Microsoft.Network/privateDnsZones/virtualNetworkLinks@2024-06-01' = if (enabled) {
  parent: zone
  name: prefix
  location: 'global'
  properties: {
    registrationEnabled: false
    virtualNetwork: {
      id: network.id
    }
  }
}

// A server must not be made before its zone is linked: the dependency goes with the id.
var subnets = enabled ? zoneInNetwork.properties.virtualNetwork.id : ''

output containersSubnetId string = enabled ? '${subnets}/subnets/containers' : ''
output functionsSubnetId string = enabled ? '${subnets}/subnets/functions' : ''
output databaseSubnetId string = enabled ? '${subnets}/subnets/database' : ''
output databaseZoneId string = enabled ? zone.id : ''
output clientSubnetIds array = enabled ? ['${subnets}/subnets/containers', '${subnets}/subnets/functions'] : []
