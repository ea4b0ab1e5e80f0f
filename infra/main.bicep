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

@description('During an upgrade only: the image that all jobs but migrate keep until the app is published (deploy_hybrid.sh). Empty: image.')
param runningImage string = ''

@description('The state. always: a server that never stops. window: the same, stopped outside the hours of the daily update. external: a PostgreSQL of yours, whose URL is the secret quantx-state-url in the vault.')
@allowed([
  'always'
  'window'
  'external'
])
param database string = environmentName == 'prod' ? 'always' : 'window'

@description('When the server is started and stopped with database = window; cron, UTC. A stop waits until nothing uses it (README.md).')
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

@description('When a worker starts (cron, UTC), where KEDA does not read the queue. Empty: by the length of the queue.')
param workerSchedule string = ''

@description('Vendor keys: [{ setting: \'QUANTX_ALPACA_API_KEY\', secret: \'alpaca-api-key\' }]. Each secret must be in the vault before it is named here.')
param vendorSecrets array = []

@description('What else the program reads (docs/reference/settings.md), for app and jobs alike: [{ name: \'QUANTX_YFINANCE_QUOTA\', value: \'1/s\' }]. No secrets: those are vendorSecrets.')
param extraSettings array = []

@description('Keep lake, vault and database off the internet. It can\'t be changed for a database that exists.')
param privateNetwork bool = environmentName == 'prod'

@description('Addresses (192.0.2.7, or a range as 192.0.2.0/24) that may call the app and, with a private network, reach lake and vault from another region. Empty: any address may call the app, with its key.')
param allowedAddresses array = []

@description('Entra sign-in for the HTTP functions: client id of an app registration. Empty: the function key alone.')
param apiClientId string = ''

@description('Object ids of groups, and of users and identities, that may call with apiClientId. Both empty: all of the directory.')
param apiGroups array = []
param apiIdentities array = []

@description('The dashboard: client id of the app registration by which its users sign in. Empty: no dashboard. Its secret must be in the vault before it is named here.')
param dashboardClientId string = ''
param dashboardSecret string = 'dashboard-client-secret'

@description('Object ids of the groups that read the dashboard, and of those that may also act there; at least one.')
param dashboardReaders array = []
param dashboardOperators array = []

@description('A person or group that administers the database, sets secrets and reads the lake: object id, name, kind. Empty: only the identities below.')
param adminPrincipalId string = ''
param adminPrincipalName string = ''
@allowed([
  'User'
  'Group'
  'ServicePrincipal'
])
param adminPrincipalType string = 'User'

@description('The object id of a group that reads tables and reports, in lake and database, and nothing else. Empty: none.')
param readersGroupId string = ''

@description('The object id of a group that runs the jobs of the worker and reads their logs. Empty: none. Read what it can do in README.md.')
param operatorsGroupId string = ''

@description('Raw objects in a container of their own. False only for an installation that has not moved them yet (docs/operations.md).')
param rawApart bool = true

@description('Days for which a raw object can be neither replaced nor deleted; 0 writes no policy (for one that is locked).')
@minValue(0)
@maxValue(146000)
param rawRetentionDays int = 365

@description('Recipient of the alerts besides the owners of the subscription. Azure mails a code, which must be entered within 30 minutes.')
param alertEmail string = ''

@description('A webhook that gets the alerts as well. A secret, because it is all that is needed to post there.')
@secure()
param alertWebhook string = ''

@description('What the webhook takes. common: Azure\'s common alert schema (PagerDuty, a workflow or a service of yours). slack, teams: a message; a small workflow writes it.')
@allowed([
  'common'
  'slack'
  'teams'
])
param alertWebhookKind string = 'common'

@description('Send what the host of the app writes to the workspace. It writes much; the lines of the program come without it.')
param appHostLogs bool = true

@description('Euros or dollars a month, in the billing currency of the subscription; alerts at 80 %, and when a forecast exceeds it.')
@minValue(1)
param monthlyBudget int = environmentName == 'prod' ? 60 : 15

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

@description('Azure Machine Learning: a workspace, and clusters that have no machine while no job runs. Not with a private network.')
param machineLearning bool = false

@description('The size of a cluster\'s machine, and the most machines that train at the same time.')
param mlVmSize string = 'Standard_DS3_v2'
@minValue(1)
param mlMaxNodes int = 1

@description('Train on machines that Azure can take away: cheaper, and a job begins anew.')
param mlLowPriority bool = false

@description('Create the custom roles. False where they exist and the deployer may not create roles (see github.bicep).')
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
var hasDashboard = !empty(dashboardClientId) && !empty(image)
var budgetSince = empty(budgetStart) ? thisMonth : budgetStart
// App Service wants ranges; Storage refuses /31 and /32, and wants their addresses one by one (learn.microsoft.com, "Guidelines
// and limitations for the Azure Storage firewall").
var addressRanges = map(allowedAddresses, address => contains(address, '/') ? address : '${address}/32')
var storageAddresses = flatten(map(addressRanges, cidr => endsWith(cidr, '/31') || endsWith(cidr, '/32') ? map(range(0, endsWith(cidr, '/31') ? 2 : 1), index => first(split(cidrSubnet(cidr, 32, index), '/'))) : [cidr]))
var serverName = empty(databaseServerName) ? '${prefix}-pg-${suffix}' : databaseServerName
var jobsImage = '${registry.outputs.server}/${empty(runningImage) ? image : runningImage}'
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
  }
}

module recipients 'modules/recipients.bicep' = {
  name: 'recipients'
  params: {
    location: location
    prefix: prefix
    alertEmail: alertEmail
    alertWebhook: alertWebhook
    alertWebhookKind: alertWebhookKind
  }
}

module lake 'modules/lake.bicep' = {
  name: 'lake'
  params: {
    location: location
    accountName: accountName
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: storageAddresses
  }
}

module raw 'modules/raw.bicep' = {
  name: 'raw'
  params: {
    accountName: lake.outputs.accountName
    retentionDays: rawRetentionDays
  }
}

module host 'modules/host.bicep' = {
  name: 'host'
  params: {
    location: location
    accountName: 'qxhost${suffix}'
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: storageAddresses
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
    allowedAddresses: storageAddresses
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

module customRoles 'modules/custom_roles.bicep' = if (makeCustomRole) {
  name: 'custom-roles'
}

module roles 'modules/roles.bicep' = {
  name: 'roles'
  params: {
    lakeAccount: lake.outputs.accountName
    lakeContainer: lake.outputs.containerName
    rawContainer: raw.outputs.containerName
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
    dashboardId: identities.outputs.dashboard.principalId
    operatorId: identities.outputs.operator.principalId
    dashboard: hasDashboard
    externalState: !hasServer
    adminPrincipalId: adminPrincipalId
    adminPrincipalType: adminPrincipalType
    readersGroupId: readersGroupId
  }
  dependsOn: [
    customRoles
  ]
}

module backup 'modules/backup.bicep' = if (!empty(backupLocation)) {
  name: 'backup'
  params: {
    location: backupLocation
    accountName: 'qxback${suffix}'
    subnetIds: network.outputs.clientSubnetIds
    allowedAddresses: storageAddresses
    workerId: identities.outputs.worker.principalId
    keepDays: backupKeepDays
    lockData: lockData && makeCustomRole
  }
  dependsOn: [
    customRoles
  ]
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
    powerId: identities.outputs.power.principalId
    makeRole: makeCustomRole
  }
}

module containers 'modules/containers.bicep' = {
  name: 'containers'
  params: {
    location: location
    prefix: prefix
    workspaceId: monitoring.outputs.workspaceId
    subnetId: network.outputs.containersSubnetId
    dashboard: hasDashboard
  }
}

// What the code reads; the same names as on a laptop (docs/reference/settings.md). The state's URL has no `sslmode`: then the
// program encrypts and checks the server's certificate, before it sends a token.
var settings = concat(extraSettings, rawApart ? [
  { name: 'QUANTX_RAW_URL', value: 'az://${raw.outputs.containerName}' }
  { name: 'QUANTX_RAW_RETENTION_DAYS', value: string(rawRetentionDays) }
] : [], [
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
    allowedAddresses: addressRanges
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

module signIn 'modules/sign-in.bicep' = if (!empty(apiClientId)) {
  name: 'sign-in'
  params: {
    appName: functions.outputs.appName
    clientId: apiClientId
    groups: apiGroups
    identities: apiIdentities
  }
}

module jobs 'modules/jobs.bicep' = if (!empty(image)) {
  name: 'jobs'
  params: {
    location: location
    prefix: prefix
    environmentId: containers.outputs.id
    image: jobsImage
    migrateImage: '${registry.outputs.server}/${image}'
    registryServer: registry.outputs.server
    worker: identities.outputs.worker
    migrator: identities.outputs.migrator
    functions: identities.outputs.functions
    power: identities.outputs.power
    dashboard: identities.outputs.dashboard
    operator: identities.outputs.operator
    storageAccount: accountName
    queueName: lake.outputs.queueName
    vaultUri: vault.outputs.uri
    stateSecrets: stateSecrets
    vendorSecrets: vendorSecrets
    settings: settings
    serverHost: hasServer ? serverHost : ''
    readersGroupId: readersGroupId
    replicaTimeout: replicaTimeout
    backfillTimeout: backfillTimeout
    maxWorkers: maxWorkers
    workerSchedule: workerSchedule
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

module dashboard 'modules/dashboard.bicep' = if (hasDashboard) {
  name: 'dashboard'
  params: {
    location: location
    prefix: prefix
    environmentId: containers.outputs.id
    domain: containers.outputs.domain
    image: jobsImage
    registryServer: registry.outputs.server
    reader: identities.outputs.dashboard
    operator: identities.outputs.operator
    vaultUri: vault.outputs.uri
    stateSecrets: stateSecrets
    settings: settings
    serverHost: hasServer ? serverHost : ''
    clientId: dashboardClientId
    clientSecret: dashboardSecret
    readers: dashboardReaders
    operators: dashboardOperators
    allowedAddresses: addressRanges
  }
  dependsOn: [
    roles
    jobs
  ]
}

module hours 'modules/hours.bicep' = if (inWindow && !empty(image)) {
  name: 'hours'
  params: {
    location: location
    prefix: prefix
    environmentId: containers.outputs.id
    image: jobsImage
    registryServer: registry.outputs.server
    power: identities.outputs.power
    serverName: serverName
    serverHost: serverHost
    queueUrl: '${lake.outputs.queueEndpoint}${lake.outputs.queueName}'
    start: databaseStart
    stop: databaseStop
  }
  dependsOn: [
    roles
    power
  ]
}

module operators 'modules/operators.bicep' = if (!empty(image) && !empty(operatorsGroupId)) {
  name: 'operators'
  params: {
    operatorsGroupId: operatorsGroupId
    jobNames: [
      '${prefix}-worker'
      '${prefix}-sweeper'
      '${prefix}-universes'
      '${prefix}-backfill'
    ]
    workspaceName: monitoring.outputs.workspaceName
  }
  dependsOn: [
    jobs
    customRoles
  ]
}

module alerts 'modules/alerts.bicep' = {
  name: 'alerts'
  params: {
    location: location
    prefix: prefix
    workspaceId: monitoring.outputs.workspaceId
    actionGroupId: recipients.outputs.actionGroupId
    withJobs: !empty(image)
    withBackup: !empty(backupLocation)
    withHours: inWindow
    serverName: hasServer ? serverName : ''
  }
  dependsOn: [
    containers
    jobs
    hours
    postgres
  ]
}

module diagnostics 'modules/diagnostics.bicep' = {
  name: 'diagnostics'
  params: {
    workspaceId: monitoring.outputs.workspaceId
    lakeAccount: lake.outputs.accountName
    vaultName: vault.outputs.vaultName
    serverName: hasServer ? serverName : ''
    appName: appName
    appHostLogs: appHostLogs
  }
  dependsOn: [
    functions
    postgres
  ]
}

module ml 'modules/ml.bicep' = if (machineLearning) {
  name: 'ml'
  params: {
    location: location
    prefix: prefix
    suffix: suffix
    registryName: registry.outputs.registryName
    insightsName: monitoring.outputs.insightsName
    lakeAccount: lake.outputs.accountName
    lakeContainer: lake.outputs.containerName
    worker: identities.outputs.worker
    vmSize: mlVmSize
    maxNodes: mlMaxNodes
    lowPriority: mlLowPriority
  }
  dependsOn: [
    roles
  ]
}

module workbook 'modules/workbook.bicep' = {
  name: 'workbook'
  params: {
    location: location
    prefix: prefix
    workspaceId: monitoring.outputs.workspaceId
  }
}

module budget 'modules/budget.bicep' = {
  name: 'budget'
  params: {
    prefix: prefix
    amount: monthlyBudget
    start: budgetSince
    actionGroupId: recipients.outputs.actionGroupId
  }
}

output RESOURCE_GROUP string = resourceGroup().name
output STORAGE_ACCOUNT string = accountName
output ACR_NAME string = registry.outputs.registryName
output FUNCTION_APP_NAME string = appName
output FUNCTION_APP_HOST string = functions.outputs.host
output LAKE_URL string = 'az://${lake.outputs.containerName}'
output RAW_URL string = rawApart ? 'az://${raw.outputs.containerName}' : ''
output QUEUE_URL string = 'az://${lake.outputs.queueName}'
output KEY_VAULT_NAME string = vault.outputs.vaultName
output DATABASE_SERVER string = hasServer ? serverName : ''
output JOB_PREFIX string = prefix
output BACKUP_URL string = empty(backupLocation) ? '' : backup!.outputs.url
output DASHBOARD_URL string = hasDashboard ? dashboard!.outputs.url : ''
output BUDGET_START string = budgetSince
output ML_WORKSPACE string = machineLearning ? ml!.outputs.workspaceName : ''
output ML_TRAINER_CLIENT_ID string = machineLearning ? ml!.outputs.trainerClientId : ''
output WORKER_CLIENT_ID string = identities.outputs.worker.clientId
output WORKER_NAME string = identities.outputs.worker.name
