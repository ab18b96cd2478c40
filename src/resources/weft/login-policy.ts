/** LoginPolicy: who calls a Gateway with a browser logs in at a provider of OpenID Connect first. */

import { z } from 'zod'
import { durationMs } from '../duration.ts'
import { age, atomicList, duration, headerName, objectName, rules, stringMap } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'
import { claimsToHeaders, isReservedHeader } from './claims-to-headers.ts'
import { enforcedColumn, enforcement } from './enforcement.ts'
import { policyStatus, policyTargets, targetsColumn } from './route-targets.ts'

const isHere = /^(localhost|127(\.\d+){3}|\[::1\])$/

const absolutePath = (what: string) =>
  z
    .string()
    .max(512)
    .regex(/^\/(?!\/)[A-Za-z0-9\-._~!$&'()*+,;=:@%/]*$/, { message: 'must be a path that begins with one /, without ? and #' })
    .describe(what)

const entryOf = (entry: string) =>
  z.strictObject({
    name: objectName().describe("Name of a Secret in the policy's namespace."),
    key: z.string().min(1).max(253).default(entry).describe('The entry that holds it.'),
  })

const forwarded = (what: string) =>
  z
    .strictObject({
      header: headerName().describe('The header that gets it.'),
      prefix: z.string().max(64).default('').describe('What stands before it, such as "Bearer ".'),
    })
    .optional()
    .describe(what)

const provider = z
  .strictObject({
    issuer: z
      .string()
      .max(2048)
      .regex(/^https?:\/\/[^\s/?#@]+(\/[^\s?#]*)?$/, { message: 'must be a URL of https, without a user, ? and #' })
      .describe('Whose users they are. Its addresses and keys are found at /.well-known/openid-configuration below it.'),
    clientId: z.string().min(1).max(2048).describe('As what this Gateway is known to it.'),
    clientSecretRef: entryOf('client-secret')
      .optional()
      .describe('The secret by which this Gateway proves it. Absent: a public client, which has PKCE alone.'),
    clientAuthentication: z
      .enum(['Basic', 'Post'])
      .default('Basic')
      .describe(
        'How the secret is sent to its token endpoint: in Authorization (client_secret_basic) or in the body (client_secret_post).',
      ),
    scopes: atomicList(z.string().regex(/^[\x21\x23-\x5b\x5d-\x7e]{1,256}$/, { message: 'must be one word' }))
      .max(32)
      .default(['openid'])
      .describe('What is asked for; openid is always among it.'),
    parameters: stringMap()
      .optional()
      .describe(
        'What else is said in the URL of the login, such as prompt, audience or resource. What the protocol itself says cannot be said here.',
      ),
    caCertificateRef: z
      .strictObject({
        name: objectName().describe("Name of a ConfigMap in the policy's namespace."),
        key: z.string().min(1).max(253).default('ca.crt').describe('The entry that holds certificates in PEM.'),
      })
      .optional()
      .describe(
        'By whose signature the provider is known, its certificate being private. Absent: by what the machine of the proxy trusts.',
      ),
    timeout: duration().default('5s').describe('How long an answer of the provider is waited for.'),
  })
  .check(
    rules(function* ({ issuer, parameters = {}, timeout }) {
      const { protocol, hostname } = URL.canParse(issuer) ? new URL(issuer) : { protocol: '', hostname: '' }
      if (protocol !== 'https:' && !isHere.test(hostname))
        yield {
          path: ['issuer'],
          says: 'must be https: by http whoever is in between could log in as anybody (http is for localhost only)',
        }
      for (const name of Object.keys(parameters))
        if (ownParameters.has(name)) yield { path: ['parameters', name], says: 'is said by the protocol itself: remove it' }
      if (durationMs(timeout) < 1 || durationMs(timeout) > 60_000) yield { path: ['timeout'], says: 'must be between 1ms and 60s' }
    }),
  )

const ownParameters: ReadonlySet<string> = new Set([
  'client_id',
  'client_secret',
  'redirect_uri',
  'response_type',
  'response_mode',
  'scope',
  'state',
  'nonce',
  'code_challenge',
  'code_challenge_method',
  'request',
  'request_uri',
])

const session = z
  .strictObject({
    keyRef: entryOf('session-key').describe(
      'By which the cookie is sealed: 32 bytes or more that nobody can guess. All proxies of the Gateway share it. An entry of the same name with "previous-" before it, if there is one, still opens cookies.',
    ),
    cookieName: z
      .string()
      .regex(/^[A-Za-z0-9_-]{1,64}$/, { message: 'must be letters, digits, - and _' })
      .optional()
      .describe('Name of the cookie, behind __Host- or __Secure-; absent: weft-login and the name of the policy.'),
    domain: z
      .string()
      .max(253)
      .regex(/^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)+$/, {
        message: 'must be a DNS name in lower case, without a dot before it',
      })
      .optional()
      .describe('All hosts of this domain get the cookie, and its prefix is __Secure-. Absent: the host of the login alone.'),
    sameSite: z
      .enum(['Lax', 'Strict', 'None'])
      .default('Lax')
      .describe(
        'Whether other sites can make the browser send it: Lax with links only, Strict never, None always (then guard against forged requests yourself).',
      ),
    lifetime: duration().default('12h').describe('After so long a new login is needed, whatever was done meanwhile.'),
    refresh: z
      .boolean()
      .default(true)
      .describe('Whether tokens that end are renewed, where the provider gives a refresh token. Else the session ends with them.'),
  })
  .check(
    rules(function* ({ lifetime }) {
      if (durationMs(lifetime) < 60_000 || durationMs(lifetime) > 30 * 86_400_000)
        yield { path: ['lifetime'], says: 'must be between 1m and 30 days' }
    }),
  )

const spec = z
  .strictObject({
    targetRefs: policyTargets('Gateway', 'HTTPRoute'),
    provider: provider.describe('Where one logs in.'),
    redirectPath: absolutePath(
      'Where the provider sends the browser back. https://HOST and this path must be known to the provider.',
    ).default('/oauth2/callback'),
    logoutPath: absolutePath('Who goes there is logged out, here and at the provider, where that has an address for it.').default(
      '/logout',
    ),
    afterLogout: absolutePath('Where one comes to after it.').default('/'),
    session: session.describe('How it is remembered who logged in: in a sealed cookie.'),
    forward: z
      .strictObject({
        accessToken: forwarded('The access token of the provider, for the workload.'),
        idToken: forwarded('The ID token. A JWTPolicy of the called Service can verify it, with the client as its audience.'),
      })
      .optional()
      .describe('Which tokens the workload gets. Each makes the cookie larger.'),
    claimsToHeaders: claimsToHeaders().optional(),
    passBearer: z
      .boolean()
      .default(false)
      .describe(
        'Requests with Authorization: Bearer need no login, and are left to the JWTPolicy of the route or to the workload. A login then stands in for that token.',
      ),
    apiPaths: atomicList(absolutePath('A path, for all below it too.'))
      .max(32)
      .optional()
      .describe('Where programs call: without a session they are answered 401 and never sent to a login, whatever they accept.'),
  })
  .check(
    rules(function* ({ redirectPath, logoutPath, forward = {}, claimsToHeaders: told = [] }) {
      if (redirectPath === logoutPath) yield { path: ['logoutPath'], says: 'is redirectPath too: choose another' }
      const headers = [forward.accessToken, forward.idToken].flatMap(each => each?.header.toLowerCase() ?? [])
      for (const [name, each] of Object.entries(forward))
        if (each !== undefined && isReservedHeader(each.header) && each.header.toLowerCase() !== 'authorization')
          yield { path: ['forward', name, 'header'], says: `${each.header} has a meaning of its own: choose another` }
      if (new Set(headers).size < headers.length) yield { path: ['forward', 'idToken', 'header'], says: 'is that of the access token too' }
      for (const [at, { header }] of told.entries())
        if (headers.includes(header.toLowerCase()))
          yield { path: ['claimsToHeaders', at, 'header'], says: 'is that of a forwarded token too' }
    }),
  )
export type LoginPolicySpec = z.infer<typeof spec>
export type LoginPolicy = Resource<LoginPolicySpec>

export const loginPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'LoginPolicy',
  plural: 'loginpolicies',
  singular: 'loginpolicy',
  shortNames: ['login', 'oidc'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'A LoginPolicy makes people log in at a provider of OpenID Connect (authorization code with PKCE) before a Gateway serves them, over HTTPS. Who they are stands in a sealed cookie, and goes on to the workload in headers and tokens. The narrowest policy holds as a whole: rule, route, listener, Gateway.',
  schema: z.strictObject({
    spec: spec.describe('For what it holds, and where one logs in.'),
    status: policyStatus({ enforcement: enforcement() }),
  }),
  columns: [
    targetsColumn,
    { name: 'Issuer', type: 'string', description: 'Where one logs in', value: r => (r as LoginPolicy).spec?.provider.issuer },
    { name: 'Client', type: 'string', description: 'As what', value: r => (r as LoginPolicy).spec?.provider.clientId },
    enforcedColumn,
    age,
  ],
}
