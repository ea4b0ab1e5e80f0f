// Where the jobs run. Logs go through a diagnostic setting, which needs no key of the workspace.
param location string
param prefix string
param workspaceId string
@description('Empty: the network that Azure provides.')
param subnetId string
@description('The dashboard is served. Jobs have no way in, whatever the network.')
param dashboard bool

resource environment 'Microsoft.App/managedEnvironments@2026-01-01' = {
  name: prefix
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'azure-monitor'
    }
    vnetConfiguration: empty(subnetId) ? null : {
      infrastructureSubnetId: subnetId
      internal: true
    }
    publicNetworkAccess: dashboard && empty(subnetId) ? 'Enabled' : 'Disabled' // inside a network: for its clients only
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource logs 'Microsoft.Insights/diagnosticSettings@2021-05-01-preview' = {
  scope: environment
  name: 'to-workspace'
  properties: {
    workspaceId: workspaceId
    logs: [
      {
        category: 'ContainerAppConsoleLogs'
        enabled: true
      }
      {
        category: 'ContainerAppSystemLogs'
        enabled: true
      }
    ]
  }
}

output id string = environment.id
output domain string = environment.properties.defaultDomain
