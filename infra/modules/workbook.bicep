// What operators look at: freshness, queue, runs, failures by reason, vendors, cost. Its queries read the events in the log
// (docs/operations.md); a test holds them and the program together.
param location string
param prefix string
param workspaceId string

var content = loadTextContent('workbook.json')

resource operations 'Microsoft.Insights/workbooks@2023-06-01' = {
  name: guid(resourceGroup().id, 'operations')
  location: location
  kind: 'shared'
  properties: {
    displayName: '${prefix} operations'
    category: 'workbook'
    sourceId: workspaceId
    version: '1.0'
    serializedData: replace(replace(content, '__WORKSPACE__', workspaceId), '__GROUP__', resourceGroup().id)
  }
}
