// The dashboard: a container app that is stopped while no page is open, behind the Entra sign-in of Container Apps (Easy Auth).
// The program answers no request without a signed-in member of its groups, also where this sign-in would let one through.
param location string
param prefix string
param environmentId string
@description('The domain of the environment, in which the app gets its name.')
param domain string
param image string
param registryServer string
@description('Reads for the pages: id, name, clientId.')
param reader object
@description('Acts for operators: id, name, clientId.')
param operator object
param vaultUri string
@description('Where the state\'s address is a secret: [{ setting, secret }].')
param stateSecrets array
param settings array
@description('Empty: the state is a secret.')
param serverHost string
@description('Client id of the app registration by which users sign in.')
param clientId string
@description('The secret in the vault that has the registration\'s client secret.')
param clientSecret string
@description('Object ids of groups.')
param readers array
param operators array
@description('Ranges that may open the dashboard. Empty: any address, with the sign-in.')
param allowedAddresses array

var name = '${prefix}-dashboard'
var hostName = '${name}.${domain}'
var port = 8780
var secretSettings = [
  for one in stateSecrets: {
    name: one.setting
    secretRef: one.secret
  }
]

resource app 'Microsoft.App/containerApps@2026-01-01' = {
  name: name
  location: location
  identity: {
    type: 'UserAssigned'
    userAssignedIdentities: {
      '${reader.id}': {}
      '${operator.id}': {}
    }
  }
  properties: {
    environmentId: environmentId
    workloadProfileName: 'Consumption'
    configuration: {
      activeRevisionsMode: 'Single'
      ingress: {
        external: true
        targetPort: port
        transport: 'http'
        allowInsecure: false
        ipSecurityRestrictions: [
          for (range, i) in allowedAddresses: {
            name: 'allowed-${i}'
            ipAddressRange: range
            action: 'Allow'
          }
        ]
      }
      registries: [
        {
          server: registryServer
          identity: reader.id
        }
      ]
      secrets: [
        for one in concat(map(stateSecrets, each => each.secret), [clientSecret]): {
          name: one
          keyVaultUrl: '${vaultUri}secrets/${one}'
          identity: operator.id
        }
      ]
    }
    template: {
      containers: [
        {
          name: 'dashboard'
          image: image
          args: [
            'dashboard'
            '--port'
            string(port)
          ]
          env: concat(
            settings,
            secretSettings,
            [
              { name: 'AZURE_CLIENT_ID', value: reader.clientId }
              { name: 'APPLICATIONINSIGHTS_AUTHENTICATION_STRING', value: 'Authorization=AAD;ClientId=${reader.clientId}' }
              { name: 'QUANTX_DASHBOARD_SIGN_IN', value: 'easy_auth' }
              { name: 'QUANTX_DASHBOARD_HOSTS', value: string([hostName]) }
              { name: 'QUANTX_DASHBOARD_READERS', value: string(readers) }
              { name: 'QUANTX_DASHBOARD_OPERATORS', value: string(operators) }
              { name: 'QUANTX_DASHBOARD_OPERATOR_CLIENT_ID', value: operator.clientId }
            ],
            empty(serverHost) ? [] : [
              { name: 'QUANTX_STATE_URL', value: 'postgresql://${reader.name}@${serverHost}:5432/quantx' }
              { name: 'QUANTX_DASHBOARD_OPERATOR_STATE_URL', value: 'postgresql://${operator.name}@${serverHost}:5432/quantx' }
            ]
          )
          resources: {
            cpu: json('0.5')
            memory: '1Gi'
          }
        }
      ]
      scale: {
        minReplicas: 0
        maxReplicas: 1
        cooldownPeriod: 300
        rules: [
          {
            name: 'pages'
            http: {
              metadata: {
                concurrentRequests: '50'
              }
            }
          }
        ]
      }
    }
  }
}

resource signIn 'Microsoft.App/containerApps/authConfigs@2026-01-01' = {
  parent: app
  name: 'current' // the only name that takes effect
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      unauthenticatedClientAction: 'RedirectToLoginPage'
      redirectToProvider: 'azureactivedirectory'
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: clientId
          clientSecretSettingName: clientSecret
          openIdIssuer: '${az.environment().authentication.loginEndpoint}${subscription().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            clientId
            'api://${clientId}'
          ]
          defaultAuthorizationPolicy: {
            allowedPrincipals: {
              groups: concat(readers, operators)
            }
          }
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false // nothing is called in the name of the user
      }
    }
  }
}

output url string = 'https://${hostName}/'
