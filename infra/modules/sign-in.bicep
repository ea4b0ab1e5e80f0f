// Entra sign-in for the HTTP functions (App Service authentication): a request without a valid token of this directory ends
// before the app. The function key is required as well: it still locks where the authentication is switched off, and an early
// preview of Flex Consumption let requests without a token pass (azure-docs, flex-consumption-plan; the page of 2026 has no such limit).
param appName string
@description('Client id of the app registration that stands for this API.')
param clientId string
@description('Object ids of groups whose members may call; the registration must put groups into its tokens (groupMembershipClaims).')
param groups array
@description('Object ids of users, managed identities and service principals that may call.')
param identities array

resource app 'Microsoft.Web/sites@2025-03-01' existing = {
  name: appName
}

resource signIn 'Microsoft.Web/sites/config@2025-03-01' = {
  parent: app
  name: 'authsettingsV2'
  properties: {
    platform: {
      enabled: true
    }
    globalValidation: {
      requireAuthentication: true
      unauthenticatedClientAction: 'Return401' // callers are programs: no page to sign in
      excludedPaths: [
        '/api/health' // reports nothing
      ]
    }
    httpSettings: {
      requireHttps: true
    }
    identityProviders: {
      azureActiveDirectory: {
        enabled: true
        registration: {
          clientId: clientId
          openIdIssuer: '${az.environment().authentication.loginEndpoint}${subscription().tenantId}/v2.0'
        }
        validation: {
          allowedAudiences: [
            clientId
            'api://${clientId}'
          ]
          // Without callers, any identity of the directory that gets a token may call (app-service, configure-authentication-provider-aad).
          defaultAuthorizationPolicy: {
            allowedPrincipals: {
              groups: groups
              identities: identities
            }
          }
        }
      }
    }
    login: {
      tokenStore: {
        enabled: false // nothing is called in the name of the caller
      }
    }
  }
}
