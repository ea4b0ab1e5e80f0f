// A group that runs the jobs of the worker's identity and reads their logs. Not `migrate`, `db-start` and `db-stop`: an
// execution can be started with another command, and would have the rights of the database's administrator.
param operatorsGroupId string
param jobNames array
param workspaceName string

var role = {
  logReader: '73c42c96-874c-492b-b04d-ab87d138a893' // Log Analytics Reader
}
var custom = {
  jobOperator: guid(resourceGroup().id, 'job-operator') // quantx job operator
}
var definitions = '${subscription().id}/providers/Microsoft.Authorization/roleDefinitions'

resource jobs 'Microsoft.App/jobs@2026-01-01' existing = [for name in jobNames: {
  name: name
}]

resource logs 'Microsoft.OperationalInsights/workspaces@2026-03-01' existing = {
  name: workspaceName
}

resource operatorsJobs 'Microsoft.Authorization/roleAssignments@2022-04-01' = [for (name, i) in jobNames: {
  scope: jobs[i]
  name: guid(jobs[i].id, operatorsGroupId, custom.jobOperator)
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: '${definitions}/${custom.jobOperator}'
    description: 'Starts and stops executions, with everything that the worker may do.'
  }
}]

resource operatorsLogs 'Microsoft.Authorization/roleAssignments@2022-04-01' = {
  scope: logs
  name: guid(logs.id, operatorsGroupId, role.logReader)
  properties: {
    principalId: operatorsGroupId
    principalType: 'Group'
    roleDefinitionId: '${definitions}/${role.logReader}'
    description: 'Reads the logs of jobs and app.'
  }
}
