// What the resource group may cost a month. A budget alerts; it stops nothing.
param prefix string
param amount int
@description('The first of a month; can\'t be changed later.')
param start string
param actionGroupId string

resource budget 'Microsoft.Consumption/budgets@2026-06-01' = {
  name: prefix
  properties: {
    category: 'Cost'
    amount: amount
    timeGrain: 'Monthly'
    timePeriod: {
      startDate: start
    }
    notifications: {
      nearly: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 80
        thresholdType: 'Actual'
        contactEmails: []
        contactRoles: [
          'Owner'
        ]
        contactGroups: [
          actionGroupId
        ]
      }
      foreseen: {
        enabled: true
        operator: 'GreaterThanOrEqualTo'
        threshold: 100
        thresholdType: 'Forecasted'
        contactEmails: []
        contactRoles: [
          'Owner'
        ]
        contactGroups: [
          actionGroupId
        ]
      }
    }
  }
}
