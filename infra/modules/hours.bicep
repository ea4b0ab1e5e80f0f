// Two jobs that start the database before the daily update and stop it when nothing is left to do.
param location string
param prefix string
param environmentId string
@description('With registry and tag.')
param image string
param registryServer string
@description('The identity that may: id, clientId.')
param power object
param serverName string
@description('Where tasks wait; a database for which there are any is not stopped.')
param queueUrl string
@description('Cron, UTC.')
param start string
param stop string

resource server 'Microsoft.DBforPostgreSQL/flexibleServers@2025-08-01' existing = {
  name: serverName
}

resource hours 'Microsoft.App/jobs@2026-01-01' = [
  for one in [
    { verb: 'start', schedule: start }
    { verb: 'stop', schedule: stop }
  ]: {
    name: '${prefix}-db-${one.verb}'
    location: location
    identity: {
      type: 'UserAssigned'
      userAssignedIdentities: {
        '${power.id}': {}
      }
    }
    properties: {
      environmentId: environmentId
      workloadProfileName: 'Consumption'
      configuration: {
        triggerType: 'Schedule'
        replicaTimeout: 900
        replicaRetryLimit: 2
        scheduleTriggerConfig: {
          cronExpression: one.schedule
          parallelism: 1
          replicaCompletionCount: 1
        }
        registries: [
          {
            server: registryServer
            identity: power.id
          }
        ]
      }
      template: {
        containers: [
          {
            name: one.verb
            image: image
            command: [
              'python'
              '-c'
              loadTextContent('../database/power.py')
              one.verb
            ]
            env: [
              { name: 'AZURE_CLIENT_ID', value: power.clientId }
              { name: 'MANAGEMENT_URL', value: az.environment().resourceManager }
              { name: 'SERVER_ID', value: server.id }
              { name: 'QUEUE_URL', value: queueUrl }
            ]
            resources: {
              cpu: json('0.25')
              memory: '0.5Gi'
            }
          }
        ]
      }
    }
  }
]
