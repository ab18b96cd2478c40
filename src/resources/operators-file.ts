/** The file that says who may use the operator API beside users with tokens, and how much of it: read by `weft control --operators`, told with line and field where it is wrong. */

import { z } from 'zod'
import { checkSettings, parseSettings } from './settings-file.ts'

const path = () => z.string().min(1).max(4096)
const name = () => z.string().min(1).max(253)
const claim = () => z.string().min(1).max(253)

const issuer = z
  .string()
  .max(2048)
  .refine(text => isSafe(text), { message: 'must be an https URL, such as https://login.example.com; http is for this machine only' })

/** What comes from there decides who may do what. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname, search, hash } = new URL(text)
  if (search !== '' || hash !== '') return false
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

const oidc = z.strictObject({
  issuer: issuer.describe('Of the OpenID provider, as its tokens say it.'),
  name: name().default('OpenID Connect').describe('What the login page calls it.'),
  clientId: name().describe('Of the dashboard, as the provider knows it.'),
  clientSecretFile: path().optional().describe('File with the secret of the client; absent: a public client, which PKCE alone protects.'),
  audiences: z.array(name()).min(1).max(16).optional().describe('Of tokens that programs bring; absent: the clientId.'),
  scopes: z.array(name()).min(1).max(16).default(['openid']).describe('That the login page asks for; openid among them.'),
  userClaim: claim()
    .default('sub')
    .describe('The claim that names the user. An `email` counts only where email_verified does not say otherwise.'),
  groupsClaim: claim().default('groups').describe('The claim that lists their groups.'),
  caFile: path().optional().describe('File with the root of the provider, PEM; absent: those of this machine.'),
})

const certificates = z.strictObject({
  caFile: path()
    .optional()
    .describe('File with the roots of client certificates, PEM; absent: those of the mesh, whose certificates name SPIFFE ids.'),
})

const grant = z
  .strictObject({
    oidcUser: name().optional().describe('A user of the OpenID provider, by the userClaim.'),
    oidcGroup: name().optional().describe('A group of the OpenID provider, by the groupsClaim.'),
    certificate: name().optional().describe('Who shows a client certificate: its SPIFFE id, or CN=NAME of its subject.'),
    certificateGroup: name().optional().describe('An organization (O) of the subject of a client certificate.'),
    role: z.enum(['viewer', 'editor', 'admin']).describe('viewer reads; editor changes resources too; admin does everything.'),
    namespaces: z
      .array(z.string().regex(/^[a-z0-9]([-a-z0-9]{0,61}[a-z0-9])?$/, { message: 'must be the name of a namespace' }))
      .min(1)
      .max(1000)
      .optional()
      .describe('Where; absent: in the whole mesh.'),
  })
  .refine(each => [each.oidcUser, each.oidcGroup, each.certificate, each.certificateGroup].filter(one => one !== undefined).length === 1, {
    message: 'must name exactly one of oidcUser, oidcGroup, certificate and certificateGroup',
  })

const limits = z.strictObject({
  requestsPerSecond: z.number().positive().max(1_000_000).default(500).describe('Of one user, or of one address that has not logged in.'),
  burst: z.number().int().positive().max(1_000_000).default(5000).describe('So many at once before that.'),
  watches: z.number().int().positive().max(100_000).default(256).describe('Open at once by one user.'),
  connections: z.number().int().positive().max(100_000).default(2048).describe('Open at once from one address.'),
})

const schema = z.strictObject({
  oidc: oidc.optional().describe('Login by an OpenID provider.'),
  certificates: certificates.optional().describe('Login by client certificates; the API must be served over TLS.'),
  grants: z.array(grant).max(10_000).default([]).describe('Who has which role. Who is known and has none may do nothing.'),
  limits: limits.default(() => limits.parse({})).describe('How much one caller may ask.'),
  allowedOrigins: z
    .array(z.string().regex(/^https?:\/\/[^/?#\s]+$/, { message: 'must be an origin such as https://tools.example.com' }))
    .max(100)
    .default([])
    .describe('Web pages of others that may call the API with a token (CORS); none unless said.'),
  allowedHosts: z
    .array(name())
    .max(100)
    .default([])
    .describe('Names besides localhost by which browsers may reach an API that listens on loopback.'),
})
export type OperatorsSettings = z.infer<typeof schema>
export type OidcSettings = z.infer<typeof oidc>

/** JSON Schema of the file, for the reference. */
export const operatorsSchema = (): object => z.toJSONSchema(schema, { io: 'input' })

export const noOperators: OperatorsSettings = schema.parse({})

/** text: YAML or JSON. Throws BadInput with every problem. */
export function readOperatorsFile(text: string, file: string): OperatorsSettings {
  const settings = parseSettings(text, file)
  return checkSettings({ ...settings, value: settings.value ?? {} }, schema)
}
