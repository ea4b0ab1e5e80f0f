// The whole system in one resource group: lake, queue, database, a Functions app that plans and jobs that work.
// Everything signs in by identity. Deploy it with deploy/deploy_hybrid.sh; read README.md beside this file first.
targetScope = 'resourceGroup'

@description('Part of every name, to distinguish dev and prod in one directory.')
@allowed([
  'dev'
  'prod'
])
param environmentName string = 'dev'

@description('Where everything lies; a region that has Flex Consumption.')
param location string = resourceGroup().location

@description('The storage account of the lake; a name of its own in all of Azure. Empty: one is made up.')
@maxLength(24)
param storageAccountName string = ''

@description('The registry of the image; a name of its own in all of Azure. Empty: one is made up.')
@maxLength(50)
param acrName string = ''

@description('The Functions app; a name of its own in all of Azure. Empty: one is made up.')
@maxLength(60)
param functionAppName string = ''

@description('The image, as quantx:<tag> in the registry. Empty: everything but the jobs, for the first time when no image exists.')
param image string = ''

@description('The state. always: a server that never stops. window: the same, stopped outside the hours of the daily update. external: a PostgreSQL of yours, whose URL is the secret quantx-state-url in the vault.')
@allowed([
  'always'
  'window'
  'external'
])
param database string = 'window'

@description('When the server is started and stopped with database = window; cron, UTC. A stop waits until no task is queued.')
param databaseStart string = '40 5 * * *'
param databaseStop string = '15 0-4,9-23 * * *'

@description('The name of the database server: that of a restored one, so that everything uses it. Empty: one is made up.')
@maxLength(63)
param databaseServerName string = ''

@description('When the daily update is planned (NCRONTAB with seconds, UTC).')
param dailySchedule string = '0 0 6 * * 1-5'

@description('Schedule of the universes\' refresh (cron, UTC): with database = window after its start, and before the daily update.')
param universesSchedule string = '50 5 * * *'

@description('When the app looks for what was left behind (NCRONTAB, UTC). Empty: every quarter of an hour, within the hours of the database.')
param sweepSchedule string = ''

@description('When the sweeper job does the same, should the app have died (cron, UTC). Empty: once an hour, or twice within the hours of the database.')
param sweeperSchedule string = ''

@description('How long one execution of the worker may take, in seconds; it takes no new work after 80 % of it.')
@minValue(300)
@maxValue(86400)
param replicaTimeout int = 1800

@description('How long one execution of the backfill may take, in seconds.')
@minValue(300)
@maxValue(86400)
param backfillTimeout int = 43200

@description('Workers at the same time. The vendor\'s quota is the fleet\'s, so that more of them are seldom faster.')
@minValue(1)
@maxValue(10)
param maxWorkers int = 2

@description('Vendor keys: [{ setting: \'QUANTX_ALPACA_API_KEY\', secret: \'alpaca-api-key\' }]. Each secret must be in the vault before it is named here.')
param vendorSecrets array = []

@description('What else the program reads (docs/reference/settings.md), for app and jobs alike: [{ name: \'QUANTX_YFINANCE_QUOTA\', value: \'1/s\' }]. No secrets: those are vendorSecrets.')
param extraSettings array = []

@description('Keep lake, vault and database off the internet. It can\'t be changed for a database that exists.')
param privateNetwork bool = false

@description('Addresses (CIDR) that may call the app and, with a private network, reach lake and vault. Empty: any address may call the app, with its key.')
param allowedAddresses array = []

@description('A person or group that administers the database, sets secrets and reads the lake: object id, name, kind. Empty: only the identities below.')
param adminPrincipalId string = ''
param adminPrincipalName string = ''
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param adminPrincipalType string = 'User'

@description('Recipient of the alerts besides the owners of the subscription.')
param alertEmail string = ''

@description('Euros or dollars a month, in the billing currency of the subscription; alerts at 80 %, and when a forecast exceeds it.')
@minValue(1)
param monthlyBudget int = 15

@description('The first of a month. It can\'t be changed for a budget that exists: hand over the output of the last deployment. Empty: this month.')
param budgetStart string = ''
param thisMonth string = utcNow('yyyy-MM-01')

@description('Region of a second storage account for backups; with a private network the paired region. Empty: no backups.')
param backupLocation string = ''

@description('When the backup is made (cron, UTC); its beginning needs the database.')
param backupSchedule string = '0 7 * * *'

@description('Backups older than this many days are deleted, which needs the right to delete. 0: all are kept.')
@minValue(0)
param backupKeepDays int = 0

@description('Lock the storage accounts of lake and backups and the database server against deletion. It needs the rights of an owner, as makeCustomRole.')
param lockData bool = true

@description('Create the role that may start and stop the database. False where it exists and the deployer may not create roles (see github.bicep).')
param makeCustomRole bool = true

var prefix = 'quantx-${environmentName}'
var suffix = uniqueString(resourceGroup().id)
var accountName = empty(storageAccountName) ? 'quantx${suffix}' : storageAccountName
var registryName = empty(acrName) ? 'quantx${suffix}' : acrName
var appName = empty(functionAppName) ? '${prefix}-${suffix}' : functionAppName
var vaultName = 'quantx${suffix}'
var hasServer = database != 'external'
var inWindow = database == 'window'
var sweeps = !empty(sweepSchedule) ? sweepSchedule : inWindow ? '0 */15 6-8 * * *' : '0 */15 * * * *'
var sweeperRuns = !empty(sweeperSchedule) ? sweeperSchedule : inWindow ? '20,50 6-8 * * *' : '20 * * * *'
var budgetSince = empty(budgetStart) ? thisMonth : budgetStart
var serverName = empty(databaseServerName) ? '${prefix}-pg-${suffix}' : databaseServerName
var serverHost = '${serverName}.postgres.database.azure.com'

module identities 'modules/identities.bicep' = {
  name: 'identities'
  params: {
    location: location
    prefix: prefix
  }
}

module network 'modules/network.bicep' = {
  name: 'network'
  params: {
    enabled: privateNetwork
    location: location
    prefix: prefix
  }
}

module monitoring 'modules/monitoring.bicep' = {
  name: 'monitoring'
  params: {
    location: location
    prefix: prefix
    alertEmail: alertEmail
  }
}

module lake 'modules/lake.bicep' = {
  name: 'lake'
  params: {
    location: location
    accountName: accountName
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: allowedAddresses
  }
}

module host 'modules/host.bicep' = {
  name: 'host'
  params: {
    location: location
    accountName: 'qxhost${suffix}'
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: allowedAddresses
  }
}

module registry 'modules/registry.bicep' = {
  name: 'registry'
  params: {
    location: location
    registryName: registryName
  }
}

module vault 'modules/vault.bicep' = {
  name: 'vault'
  params: {
    location: location
    vaultName: vaultName
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: allowedAddresses
  }
}

module postgres 'modules/postgres.bicep' = if (hasServer) {
  name: 'postgres'
  params: {
    location: location
    serverName: serverName
    subnetId: network.outputs.databaseSubnetId
    privateDnsZoneId: network.outputs.databaseZoneId
    migratorId: identities.outputs.migrator.principalId
    migratorName: identities.outputs.migrator.name
    adminPrincipalId: adminPrincipalId
    adminPrincipalName: adminPrincipalName
    adminPrincipalType: adminPrincipalType
  }
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    lakeAccount: lake.outputs.accountName
    lakeContainer: lake.outputs.containerName
    taskQueue: lake.outputs.queueName
    poisonQueue: lake.outputs.poisonQueueName
    hostAccount: host.outputs.accountName
    registryName: registry.outputs.registryName
    vaultName: vault.outputs.vaultName
    insightsName: monitoring.outputs.insightsName
    workerId: identities.outputs.worker.principalId
    functionsId: identities.outputs.functions.principalId
    migratorId: identities.outputs.migrator.principalId
    powerId: identities.outputs.power.principalId
    externalState: !hasServer
    adminPrincipalId: adminPrincipalId
    adminPrincipalType: adminPrincipalType
  }
}

module backup 'modules/backup.bicep' = if (!empty(backupLocation)) {
  name: 'backup'
  params: {
    location: backupLocation
    accountName: 'qxback${suffix}'
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: allowedAddresses
    workerId: identities.outputs.worker.principalId
    keepDays: backupKeepDays
    makeRole: makeCustomRole
    lockData: lockData && makeCustomRole
  }
}

module locks 'modules/locks.bicep' = if (lockData && makeCustomRole) {
  name: 'locks'
  params: {
    lakeAccount: lake.outputs.accountName
    serverName: hasServer ? serverName : ''
  }
  dependsOn: [
    postgres
  ]
}

module power 'modules/power.bicep' = if (inWindow) {
  name: 'power'
  params: {
    serverName: serverName
    powerId: identities.outputs.power.principalId
    makeRole: makeCustomRole
  }
  dependsOn: [
    postgres
  ]
}

module containers 'modules/containers.bicep' = {
  name: 'containers'
  params: {
    location: location
    prefix: prefix
    workspaceId: monitoring.outputs.workspaceId
    subnetId: network.outputs.containersSubnetId
  }
}

// What the code reads; the same names as on a laptop (docs/reference/settings.md). The state's URL has no `sslmode`: then the
// program encrypts and checks the server's certificate, before it sends a token.
var settings = concat(extraSettings, [
  { name: 'AZURE_STORAGE_ACCOUNT', value: accountName }
  { name: 'QUANTX_LAKE_URL', value: 'az://${lake.outputs.containerName}' }
  { name: 'QUANTX_QUEUE_URL', value: 'az://${lake.outputs.queueName}' }
  { name: 'QUANTX_LOG_LEVEL', value: 'INFO' }
  { name: 'DAILY_SCHEDULE', value: dailySchedule } // the sweeper must know when the timer should have fired
  { name: 'APPLICATIONINSIGHTS_CONNECTION_STRING', value: monitoring.outputs.insightsConnection }
])
var stateSecrets = hasServer ? [] : [{ setting: 'QUANTX_STATE_URL', secret: 'quantx-state-url' }]

module functions 'modules/functions.bicep' = {
  name: 'functions'
  params: {
    location: location
    appName: appName
    identity: identities.outputs.functions
    hostAccount: host.outputs.accountName
    packages: host.outputs.packages
    vaultUri: vault.outputs.uri
    subnetId: network.outputs.functionsSubnetId
    allowedAddresses: allowedAddresses
    secrets: concat(stateSecrets, vendorSecrets)
    settings: concat(
      settings,
      [
        { name: 'SWEEP_SCHEDULE', value: sweeps }
      ],
      hasServer ? [
        { name: 'QUANTX_STATE_URL', value: 'postgresql://${identities.outputs.functions.name}@${serverHost}:5432/quantx' }
      ] : []
    )
  }
  dependsOn: [
    roles
  ]
}

module jobs 'modules/jobs.bicep' = if (!empty(image)) {
  name: 'jobs'
  params: {
    location: location
    prefix: prefix
    environmentId: containers.outputs.id
    image: '${registry.outputs.server}/${image}'
    registryServer: registry.outputs.server
    worker: identities.outputs.worker
    migrator: identities.outputs.migrator
    functions: identities.outputs.functions
    storageAccount: accountName
    queueName: lake.outputs.queueName
    vaultUri: vault.outputs.uri
    stateSecrets: stateSecrets
    vendorSecrets: vendorSecrets
    settings: settings
    serverHost: hasServer ? serverHost : ''
    replicaTimeout: replicaTimeout
    backfillTimeout: backfillTimeout
    maxWorkers: maxWorkers
    sweeperSchedule: sweeperRuns
    universesSchedule: universesSchedule
    backupUrl: empty(backupLocation) ? '' : backup!.outputs.url
    backupSchedule: backupSchedule
    backupKeepDays: backupKeepDays
  }
  dependsOn: [
    roles
    postgres
  ]
}

module hours 'modules/hours.bicep' = if (inWindow && !empty(image)) {
  name: 'hours'
  params: {
    location: location
    prefix: prefix
    environmentId: containers.outputs.id
    image: '${registry.outputs.server}/${image}'
    registryServer: registry.outputs.server
    power: identities.outputs.power
    serverName: serverName
    queueUrl: '${lake.outputs.queueEndpoint}${lake.outputs.queueName}'
    start: databaseStart
    stop: databaseStop
  }
  dependsOn: [
    roles
    power
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    prefix: prefix
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: monitoring.outputs.actionGroupId
    withJobs: !empty(image)
    withBackup: !empty(backupLocation)
  }
  dependsOn: [
    containers
    jobs
  ]
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    prefix: prefix
    amount: monthlyBudget
    start: budgetSince
    actionGroupId: monitoring.outputs.actionGroupId
  }
}

output RESOURCE_GROUP string = resourceGroup().name
output STORAGE_ACCOUNT string = accountName
output ACR_NAME string = registry.outputs.registryName
output FUNCTION_APP_NAME string = appName
output FUNCTION_APP_HOST string = functions.outputs.host
output LAKE_URL string = 'az://${lake.outputs.containerName}'
output QUEUE_URL string = 'az://${lake.outputs.queueName}'
output KEY_VAULT_NAME string = vault.outputs.vaultName
output DATABASE_SERVER string = hasServer ? serverName : ''
output JOB_PREFIX string = prefix
output BACKUP_URL string = empty(backupLocation) ? '' : backup!.outputs.url
output BUDGET_START string = budgetSince
