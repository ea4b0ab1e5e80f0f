// The jobs from one image: worker (by queue length), sweeper, universes and backup (by schedule), backfill and migrate (by
// hand).
// Nothing runs, and nothing is paid, between executions.
param location string
param prefix string
param environmentId string
@description('With registry and tag.')
param image string
@description('The same for the job migrate: an upgrade migrates the database before the other jobs get the new image.')
param migrateImage string
param registryServer string
@description('Identities: id, name, clientId; of those that the database has to know also the principalId.')
param worker object
param migrator object
param functions object
param power object
param dashboard object
param operator object
param storageAccount string
param queueName string
param vaultUri string
@description('Where the state\'s address is a secret: [{ setting, secret }].')
param stateSecrets array
@description('Settings whose value is a secret in the vault: [{ setting, secret }].')
param vendorSecrets array
param settings array
@description('Empty: the state is a secret.')
param serverHost string
@description('The object id of the group that reads the database as the role <prefix>-readers. Empty: none.')
param readersGroupId string
param replicaTimeout int
param backfillTimeout int
param maxWorkers int
@description('Cron, UTC. Empty: workers start by the length of the queue.')
param workerSchedule string
param sweeperSchedule string
param universesSchedule string
@description('Where backups go. Empty: there are none.')
param backupUrl string
param backupSchedule string
param backupKeepDays int

var byHand = {
  parallelism: 1
  replicaCompletionCount: 1
}
// The largest worker that was measured had 560 MB, a curator with 19 million rows 810 MB (docs/benchmarks.md); half a core
// is more than two requests a second need.
var size = {
  cpu: json('0.5')
  memory: '1Gi'
}
var readers = empty(readersGroupId) ? '' : ' ${prefix}-readers=${readersGroupId}=group'
var secrets = [
  for one in concat(stateSecrets, vendorSecrets): {
    name: one.secret
    keyVaultUrl: '${vaultUri}secrets/${one.secret}'
    identity: worker.id
  }
]
var secretSettings = [
  for one in concat(stateSecrets, vendorSecrets): {
    name: one.setting
    secretRef: one.secret
  }
]
var workerSettings = concat(
  settings,
  secretSettings,
  [
    { name: 'AZURE_CLIENT_ID', value: worker.clientId }
    { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'Authorization=AAD;ClientId=${worker.clientId}' }
  ],
  empty(serverHost) ? [] : [
    { name: 'QUANTX_STATE_URL', value: 'postgresql://${worker.name}@${serverHost}:5432/quantx' }
  ]
)
var asWorker = {
  type: 'UserAssigned'
  userAssignedIdentities: {
    '${worker.id}': {}
  }
}
var pulledByWorker = [
  {
    server: registryServer
    identity: worker.id
  }
]

resource work 'Microsoft.App/jobs@2026-01-01' = {
  name: '${prefix}-worker'
  location: location
  identity: asWorker
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: empty(workerSchedule) ? 'Event' : 'Schedule'
      replicaTimeout: replicaTimeout
      replicaRetryLimit: 0 // what a dead worker held goes back to the queue by itself
      scheduleTriggerConfig: empty(workerSchedule) ? null : {
        cronExpression: workerSchedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      eventTriggerConfig: !empty(workerSchedule) ? null : {
        parallelism: 1
        replicaCompletionCount: 1
        scale: {
          minExecutions: 0
          maxExecutions: maxWorkers
          pollingInterval: 60
          rules: [
            {
              name: 'tasks'
              type: 'azure-queue'
              identity: worker.id
              metadata: {
                accountName: storageAccount
                queueName: queueName
                queueLength: '256'
                queueLengthStrategy: 'visibleonly' // messages that a worker holds call for no other worker
              }
            }
          ]
        }
      }
      registries: pulledByWorker
      secrets: secrets
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
            string(replicaTimeout)
          ]
          env: workerSettings
          resources: size
        }
      ]
    }
  }
}

// The second way in: it does what the app's timers do, should they have stopped, and curates what was left.
resource sweeper 'Microsoft.App/jobs@2026-01-01' = {
  name: '${prefix}-sweeper'
  location: location
  identity: asWorker
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      replicaTimeout: replicaTimeout
      replicaRetryLimit: 0
      scheduleTriggerConfig: {
        cronExpression: sweeperSchedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: pulledByWorker
      secrets: secrets
    }
    template: {
      containers: [
        {
          name: 'sweeper'
          image: image
          args: [
            'sweep'
          ]
          env: workerSettings
          resources: size
        }
      ]
    }
  }
}

// Reads the constituents of the universes before the daily update. A manual start shows refused lists.
resource universes 'Microsoft.App/jobs@2026-01-01' = {
  name: '${prefix}-universes'
  location: location
  identity: asWorker
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      replicaTimeout: 900
      replicaRetryLimit: 1 // the database may just be starting; a list that was taken is taken again without a change
      scheduleTriggerConfig: {
        cronExpression: universesSchedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: pulledByWorker
      secrets: secrets
    }
    template: {
      containers: [
        {
          name: 'universes'
          image: image
          args: [
            'refresh-universe'
          ]
          env: workerSettings
          resources: size
        }
      ]
    }
  }
}

// Copies what is new in lake and state to another account. An execution that ends too early is continued by the next one.
resource backup 'Microsoft.App/jobs@2026-01-01' = if (!empty(backupUrl)) {
  name: '${prefix}-backup'
  location: location
  identity: asWorker
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Schedule'
      replicaTimeout: 21600
      replicaRetryLimit: 1
      scheduleTriggerConfig: {
        cronExpression: backupSchedule
        parallelism: 1
        replicaCompletionCount: 1
      }
      registries: pulledByWorker
      secrets: secrets
    }
    template: {
      containers: [
        {
          name: 'backup'
          image: image
          args: backupKeepDays == 0 ? [
            'backup'
            'create'
            backupUrl
          ] : [
            'backup'
            'create'
            backupUrl
            '--keep-days'
            string(backupKeepDays)
          ]
          env: workerSettings
          resources: size
        }
      ]
    }
  }
}

// Started by deploy/backfill.sh, which hands over what to fetch; without that it only prints its usage.
resource backfill 'Microsoft.App/jobs@2026-01-01' = {
  name: '${prefix}-backfill'
  location: location
  identity: asWorker
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Manual'
      replicaTimeout: backfillTimeout
      replicaRetryLimit: 0
      manualTriggerConfig: byHand
      registries: pulledByWorker
      secrets: secrets
    }
    template: {
      containers: [
        {
          name: 'backfill'
          image: image
          args: [
            'backfill'
            '--help'
          ]
          env: workerSettings
          resources: size
        }
      ]
    }
  }
}

// Brings the schema up to date and gives the others their rights, as the only identity that may.
resource migrate 'Microsoft.App/jobs@2026-01-01' = {
  name: '${prefix}-migrate'
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${migrator.id}': {}
    }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      triggerType: 'Manual'
      replicaTimeout: 21600 // deploy/restore.sh restores a whole lake as this identity
      replicaRetryLimit: 0
      manualTriggerConfig: byHand
      registries: [
        {
          server: registryServer
          identity: migrator.id
        }
      ]
      secrets: [
        for one in stateSecrets: {
          name: one.secret
          keyVaultUrl: '${vaultUri}secrets/${one.secret}'
          identity: migrator.id
        }
      ]
    }
    template: {
      initContainers: empty(serverHost) ? [] : [
        {
          name: 'principals'
          image: migrateImage
          command: [
            'python'
            '-c'
            loadTextContent('../database/principals.py')
          ]
          env: [
            { name: 'AZURE_CLIENT_ID', value: migrator.clientId }
            { name: 'PGHOST', value: serverHost }
            { name: 'PGUSER', value: migrator.name }
            { name: 'PGDATABASE', value: 'postgres' }
            { name: 'PGSSLMODE', value: 'verify-full' }
            { name: 'PRINCIPALS', value: '${worker.name}=${worker.principalId} ${functions.name}=${functions.principalId} ${power.name}=${power.principalId} ${dashboard.name}=${dashboard.principalId} ${operator.name}=${operator.principalId}${readers}' }
            { name: 'STATEMENT', value: loadTextContent('../database/principal.sql') }
          ]
          resources: size
        }
      ]
      containers: [
        {
          name: 'migrate'
          image: migrateImage
          args: empty(serverHost) ? [
            'migrate'
          ] : empty(readersGroupId) ? [
            'migrate'
            '--grant'
            worker.name
            '--grant'
            functions.name
            '--grant'
            operator.name
            '--grant-read'
            dashboard.name
            '--grant-progress'
            power.name
          ] : [
            'migrate'
            '--grant'
            worker.name
            '--grant'
            functions.name
            '--grant'
            operator.name
            '--grant-read'
            dashboard.name
            '--grant-read'
            '${prefix}-readers'
            '--grant-progress'
            power.name
          ]
          env: empty(serverHost) ? [
            { name: 'QUANTX_STATE_URL', secretRef: 'quantx-state-url' }
          ] : [
            { name: 'AZURE_CLIENT_ID', value: migrator.clientId }
            { name: 'QUANTX_STATE_URL', value: 'postgresql://${migrator.name}@${serverHost}:5432/quantx' }
          ]
          resources: size
        }
      ]
    }
  }
}
