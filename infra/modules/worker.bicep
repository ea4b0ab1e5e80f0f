// The worker: a job that is started by hand (or by a schedule, later), drains the queue and ends. It costs nothing idle.
param location string
@description('With registry and tag. Empty: no job yet.')
param image string
param registryServer string
@description('The identity that pulls the image and signs in to the lake and the database.')
param identityId string
param replicaTimeout int
@description('Environment of the worker: name and value.')
param settings array

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' = {
  name: 'quantx-logs'
  location: location
  properties: {
    retentionInDays: 30
    sku: {
      name: 'PerGB2018'
    }
  }
}

resource containers 'Microsoft.App/managedEnvironments@2026-01-01' = {
  name: 'quantx'
  location: location
  properties: {
    appLogsConfiguration: {
      destination: 'log-analytics'
      logAnalyticsConfiguration: {
        customerId: logs.properties.customerId
        sharedKey: logs.listKeys().primarySharedKey
      }
    }
    workloadProfiles: [
      {
        name: 'Consumption'
        workloadProfileType: 'Consumption'
      }
    ]
  }
}

resource job 'Microsoft.App/jobs@2026-01-01' = if (!empty(image)) {
  name: 'quantx-worker'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${identityId}': {}
    }
  }
  properties: {
    environmentId: containers.id
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Manual'
      replicaTimeout: replicaTimeout
      replicaRetryLimit: 0
      manualTriggerConfig: {
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: [
        {
          server: registryServer
          identity: identityId
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'worker'
          image: image
          args: [
            'work'
            '--until-empty'
            '--time-budget'
            string(replicaTimeout * 8 / 10)
          ]
          env: settings
          resources: {
            cpu: 1
            memory: '2Gi'
          }
        }
      ]
    }
  }
}

output jobName string = empty(image) ? '' : 'quantx-worker'
