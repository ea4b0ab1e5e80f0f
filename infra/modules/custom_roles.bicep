// Roles that are smaller than any of Azure's. README.md lists what each may do; tests/infra/rights.py tries them.
// Not here: the role that starts and stops the database (power.bicep).
// Sources of the data actions: "Permissions for Blob service operations" in
// https://learn.microsoft.com/rest/api/storageservices/authorize-with-azure-active-directory, and azure-docs,
// storage/blobs/storage-auth-abac-attributes.
var blob = 'Microsoft.Storage/storageAccounts/blobServices/containers/blobs'

// Storage Blob Data Contributor may also delete the container; this may not.
resource lakeWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'lake-writer')
  properties: {
    roleName: 'quantx lake writer ${guid(resourceGroup().id, 'lake-writer')}'
    description: 'Read, write and delete objects of the lake; not its container.'
    type: 'CustomRole'
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          '${blob}/read'
          '${blob}/write'
          '${blob}/add/action'
          '${blob}/delete'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

// `add` creates an object; to replace one takes `write`, to delete one `delete`, to rename one `move`.
resource rawWriter 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'raw-writer')
  properties: {
    roleName: 'quantx raw writer ${guid(resourceGroup().id, 'raw-writer')}'
    description: 'Read and create raw objects; never replace, delete or move one.'
    type: 'CustomRole'
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          '${blob}/read'
          '${blob}/add/action'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

// Assigned to nothing here: deploy/grant.sh assigns it to one principal until an hour that it names.
resource eraser 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'eraser')
  properties: {
    roleName: 'quantx eraser ${guid(resourceGroup().id, 'eraser')}'
    description: 'Read and delete objects, for a limited time.'
    type: 'CustomRole'
    permissions: [
      {
        actions: []
        notActions: []
        dataActions: [
          '${blob}/read'
          '${blob}/delete'
        ]
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}

// Azure's Container Apps Jobs Operator has jobs/*/action, which includes listSecrets (azure-docs, container-apps/jobs).
// `start` can replace the image and the command of an execution: README.md says what that means.
resource jobOperator 'Microsoft.Authorization/roleDefinitions@2022-04-01' = {
  name: guid(resourceGroup().id, 'job-operator')
  properties: {
    roleName: 'quantx job operator ${guid(resourceGroup().id, 'job-operator')}'
    description: 'Start and stop executions of a job, and read their state; not change the job.'
    type: 'CustomRole'
    permissions: [
      {
        actions: [
          'Microsoft.App/jobs/read'
          'Microsoft.App/jobs/start/action'
          'Microsoft.App/jobs/stop/action'
          'Microsoft.App/jobs/stop/execution/action'
          'Microsoft.App/jobs/execution/read'
          'Microsoft.App/jobs/executions/read'
        ]
        notActions: []
        dataActions: []
        notDataActions: []
      }
    ]
    assignableScopes: [
      resourceGroup().id
    ]
  }
}
