// The registry of the image: no admin user, no anonymous access. (Basic has no firewall; pull rights: roles.bicep.)
param location string
param registryName string

resource registry 'Microsoft.ContainerRegistry/registries@2025-11-01' = {
  name: registryName
  location: location
  sku: {
    name: 'Basic'
  }
  properties: {
    adminUserEnabled: false
    anonymousPullEnabled: false
  }
}

output registryName string = registry.name
output server string = registry.properties.loginServer
