// The alerts. The queries search for events in the log (docs/operations.md); they are evaluated every 15 minutes or
// more seldom, because the price of a rule goes by that.
param location string
param prefix string
param workspaceId string
param actionGroupId string
@description('False before there is an image: there are no jobs to watch yet.')
param withJobs bool
@description('The job backup exists.')
param withBackup bool
@description('The jobs db-start and db-stop exist.')
param withHours bool
@description('Empty: the state is a database outside.')
param serverName string

// Logs of the jobs and of the app, as one table of lines.
var lines = 'union isfuzzy=true (ContainerAppConsoleLogs | project TimeGenerated, Line = Log), (AppTraces | project TimeGenerated, Line = Message)'

// What the lines of the pipeline say, as one word for each reason.
var reasons = '| extend Reasons = pack_array(iff(Line has "deadline.missed", "no-run-by-deadline", ""), iff(Line has "message.poison" or toint(extract(@"poisoned\\W+([0-9]+)", 1, Line)) > 0, "poison", ""), iff(todouble(extract(@"oldest_seconds\\W+([0-9.]+)", 1, Line)) > 7200, "oldest-message", ""), iff(Line has "alert.dead", "alert-undelivered", "")) | mv-expand Reason = Reasons to typeof(string) | where isnotempty(Reason)'

var rules = [
  {
    name: 'pipeline'
    why: 'Reason: no-run-by-deadline (a session has no finished run by its deadline: a timer died), poison (a message is no task of ours, or a task killed ten workers), oldest-message (a task has waited for two hours) or alert-undelivered (a channel of the program has not accepted a message: `quantx alerts list`). See docs/operations.md.'
    severity: 1
    query: '${lines} ${reasons}'
    by: ['Reason'] // an alert for each, opened and resolved by itself
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
  }
  {
    name: 'no-sweep-for-a-day'
    why: 'No sweep has run for a day: both triggers are dead, so no other alert can be trusted.'
    severity: 1
    query: '${lines} | where Line has "sweep.done"'
    by: []
    operator: 'LessThan'
    threshold: 1
    every: 'PT1H'
    over: 'P1D'
  }
  {
    name: 'app-fails'
    why: 'A function of the app ended with an error.'
    severity: 2
    query: 'union isfuzzy=true (AppRequests | where Success == false and toint(ResultCode) !between (400 .. 499)), (AppExceptions | where AppRoleName startswith "${prefix}")'
    by: []
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
  }
  {
    name: 'log-cap' // the query of learn.microsoft.com/azure/azure-monitor/logs/daily-cap
    why: 'The workspace has reached its daily cap: until it is reset, no line is collected, and the alerts on logs see nothing.'
    severity: 1
    query: '_LogOperation | where Category =~ "Ingestion" | where Detail contains "OverQuota"'
    by: []
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
  }
]

var jobs = withJobs ? concat(['worker', 'sweeper', 'universes', 'backfill', 'migrate'], withHours ? ['db-start', 'db-stop'] : [], withBackup ? ['backup'] : []) : []

// learn.microsoft.com/azure/postgresql/monitor/concepts-monitoring
var ofServer = [
  {
    name: 'database-storage'
    why: 'The disk of the database is 80 % full; it does not grow by itself, and a full one takes no more writes.'
    metric: 'storage_percent'
    aggregation: 'Average'
    operator: 'GreaterThan'
    threshold: 80
  }
  {
    name: 'database-credits'
    why: 'The database has used up its CPU credits: it runs at a fifth of its processor until it has saved some.'
    metric: 'cpu_credits_remaining'
    aggregation: 'Average'
    operator: 'LessThan'
    threshold: 2
  }
  {
    name: 'database-refuses'
    why: 'More than 20 connections an hour have failed: a role is missing, a token is refused, or connections run out.'
    metric: 'connections_failed'
    aggregation: 'Total'
    operator: 'GreaterThan'
    threshold: 20
  }
]

resource fromLogs 'Microsoft.Insights/scheduledQueryRules@2026-03-01' = [
  for rule in rules: {
    name: '${prefix}-${rule.name}'
    location: location
    kind: 'LogAlert'
    properties: {
      displayName: '${prefix}: ${rule.name}'
      description: rule.why
      enabled: true
      severity: rule.severity
      scopes: [
        workspaceId
      ]
      evaluationFrequency: rule.every
      windowSize: rule.over
      autoMitigate: true
      skipQueryValidation: true // the tables appear with their first line
      criteria: {
        allOf: [
          {
            query: rule.query
            timeAggregation: 'Count'
            operator: rule.operator
            threshold: rule.threshold
            dimensions: map(rule.by, column => { name: column, operator: 'Include', values: ['*'] })
            failingPeriods: {
              numberOfEvaluationPeriods: 1
              minFailingPeriodsToAlert: 1
            }
          }
        ]
      }
      actions: {
        actionGroups: [
          actionGroupId
        ]
      }
    }
  }
]

resource executionsFail 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for job in jobs: {
    name: '${prefix}-${job}-fails'
    location: 'global'
    properties: {
      description: 'An execution of the job ${prefix}-${job} has failed, ran out of time, had tasks that failed permanently, or refused a list.'
      enabled: true
      severity: 2
      scopes: [
        resourceId('Microsoft.App/jobs', '${prefix}-${job}')
      ]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT30M'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: 'failed'
            metricName: 'Executions'
            metricNamespace: 'Microsoft.App/jobs'
            timeAggregation: 'Maximum'
            operator: 'GreaterThan'
            threshold: 0
            dimensions: [
              {
                name: 'state'
                operator: 'Include'
                values: [
                  'Failed'
                ]
              }
            ]
            skipMetricValidation: true // it appears with the first execution
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroupId
        }
      ]
    }
  }
]

resource databaseSuffers 'Microsoft.Insights/metricAlerts@2026-01-01' = [
  for rule in (empty(serverName) ? [] : ofServer): {
    name: '${prefix}-${rule.name}'
    location: 'global'
    properties: {
      description: rule.why
      enabled: true
      severity: 2
      scopes: [
        resourceId('Microsoft.DBforPostgreSQL/flexibleServers', serverName)
      ]
      evaluationFrequency: 'PT15M'
      windowSize: 'PT1H'
      autoMitigate: true
      criteria: {
        'odata.type': 'Microsoft.Azure.Monitor.SingleResourceMultipleMetricCriteria'
        allOf: [
          {
            criterionType: 'StaticThresholdCriterion'
            name: rule.metric
            metricName: rule.metric
            metricNamespace: 'Microsoft.DBforPostgreSQL/flexibleServers'
            timeAggregation: rule.aggregation
            operator: rule.operator
            threshold: rule.threshold
            skipMetricValidation: true // a stopped server has no values
          }
        ]
      }
      actions: [
        {
          actionGroupId: actionGroupId
        }
      ]
    }
  }
]
