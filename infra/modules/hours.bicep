// Two jobs that start the database before the daily update and stop it when nothing uses it.
param location string
param prefix string
param environmentId string
@description('With registry and tag.')
param image string
param registryServer string
@description('The identity that may: id, name, clientId.')
param power object
param serverName string
param serverHost string
@description('Where tasks wait; the database is not stopped while there are any.')
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
        replicaRetryLimit: 1 // a start waits for ten minutes, twice; then an alert fires
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
              { name: 'STATEMENT', value: loadTextContent('../database/in_progress.sql') }
              { name: 'PGHOST', value: serverHost }
              { name: 'PGUSER', value: power.name }
              { name: 'PGDATABASE', value: 'quantx' }
              { name: 'PGSSLMODE', value: 'verify-full' }
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
