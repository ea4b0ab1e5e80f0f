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

// Logs of the jobs and of the app, as one table of lines.
var lines = 'union isfuzzy=true (ContainerAppConsoleLogs | project TimeGenerated, Line = Log), (AppTraces | project TimeGenerated, Line = Message)'

var rules = [
  {
    name: 'no-run-by-deadline'
    why: 'A session has no finished run by its deadline: see the runbook, "a timer died".'
    severity: 1
    query: '${lines} | where Line has "deadline.missed"'
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
    operator: 'LessThan'
    threshold: 1
    every: 'PT1H'
    over: 'P1D'
  }
  {
    name: 'poison'
    why: 'Something on the queue is no task of ours, or killed ten workers: quantx tasks list --dead.'
    severity: 2
    query: '${lines} | where Line has "message.poison" or toint(extract(@"poisoned\\W+([0-9]+)", 1, Line)) > 0'
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
  }
  {
    name: 'oldest-message'
    why: 'A task has waited for more than two hours: workers do not start, hang, or the vendor refuses.'
    severity: 2
    query: '${lines} | where todouble(extract(@"oldest_seconds\\W+([0-9.]+)", 1, Line)) > 7200'
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
  }
  {
    name: 'app-fails'
    why: 'A function of the app ended with an error.'
    severity: 2
    query: 'union isfuzzy=true (AppRequests | where Success == false and toint(ResultCode) !between (400 .. 499)), (AppExceptions | where AppRoleName startswith "${prefix}")'
    operator: 'GreaterThan'
    threshold: 0
    every: 'PT15M'
    over: 'PT1H'
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
  for job in (withJobs ? concat(['worker', 'sweeper', 'universes', 'backfill'], withBackup ? ['backup'] : []) : []): {
    name: '${prefix}-${job}-fails'
    location: 'global'
    properties: {
      description: 'An execution of the job ${prefix}-${job} has failed, ran out of time, gave a task up or refused a list.'
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
