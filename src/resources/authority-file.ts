/** The file that says which authority signs the certificates of the mesh: read by `weft control --authority`, told with line and field where it is wrong. */

import { z } from 'zod'
import { duration } from './fields.ts'
import { checkSettings, parseSettings } from './settings-file.ts'

const path = () => z.string().min(1).max(4096)
const url = () =>
  z
    .string()
    .max(2048)
    .refine(text => isSafe(text), { message: 'must be an https URL, such as https://vault.example:8200; http is for this machine only' })

/** What is sent there are requests for certificates, and often a token. */
function isSafe(text: string): boolean {
  if (!URL.canParse(text)) return false
  const { protocol, hostname } = new URL(text)
  return protocol === 'https:' || (protocol === 'http:' && ['localhost', '127.0.0.1', '[::1]'].includes(hostname))
}

const roots = path()
  .optional()
  .describe(
    'File with the roots that proxies are to trust, PEM; absent: what the authority says. Old and new ones together while a root is being replaced.',
  )
const caFile = path().optional().describe('File with the root of the server itself, PEM; absent: those of this machine.')

const crl = z
  .string()
  .min(1)
  .max(4096)
  .optional()
  .describe(
    'File with its revocation lists, PEM or DER, or an address that gives them; looked at again and again. For Vault https://vault.example:8200/v1/pki/crl/pem, for step-ca https://ca.example/1.0/crl. Absent: only Revocations of the mesh count.',
  )

const files = z.strictObject({
  type: z.literal('Files'),
  certificate: path().describe('File with the certificate that signs, and what stands between it and the root, PEM.'),
  key: path().describe('File with its private key, PEM: EC or RSA.'),
  roots: path().describe('File with the roots that proxies are to trust, PEM.'),
  crl,
})

const vault = z
  .strictObject({
    type: z.literal('Vault'),
    address: url().describe('Of HashiCorp Vault or OpenBao.'),
    mount: z.string().min(1).max(253).default('pki').describe('Where the PKI engine is mounted.'),
    role: z.string().min(1).max(253).describe('The role that allows SPIFFE ids of the mesh as URI names, for servers and clients.'),
    namespace: z.string().min(1).max(253).optional().describe('Namespace of Vault, where it has some.'),
    tokenFile: path().optional().describe('File with the token; read again at each request, as an agent of Vault writes it.'),
    tokenVariable: z.string().min(1).max(253).optional().describe('Variable of the environment with the token; VAULT_TOKEN unless said.'),
    appRole: z
      .strictObject({
        roleId: z.string().min(1).max(253).describe('Of the AppRole.'),
        secretIdFile: path().describe('File with its secret id.'),
        mount: z.string().min(1).max(253).default('approle').describe('Where the method is mounted.'),
      })
      .optional()
      .describe('Logs in by AppRole instead.'),
    roots,
    crl,
    caFile,
  })
  .refine(({ tokenFile, tokenVariable, appRole }) => [tokenFile, tokenVariable, appRole].filter(one => one !== undefined).length < 2, {
    message: 'gives more than one of tokenFile, tokenVariable and appRole: keep one',
  })

const stepCA = z.strictObject({
  type: z.literal('StepCA'),
  address: url().describe('Of the step-ca.'),
  provisioner: z.string().min(1).max(253).describe('Name of its JWK provisioner.'),
  passwordFile: path().describe("File with the password of the provisioner's key."),
  roots,
  crl,
  caFile: path().describe('File with its root, PEM, by which it is known.'),
})

const command = z.strictObject({
  type: z.literal('Command'),
  command: z
    .array(z.string().max(4096))
    .min(1)
    .max(64)
    .describe(
      'Program and arguments. It reads the certificate request (PKCS#10, PEM) on stdin and writes the chain, leaf first, PEM, to stdout. WEFT_IDENTITY, WEFT_LIFE_SECONDS, WEFT_DNS and WEFT_IPS say what it is to contain.',
    ),
  timeout: duration().default('30s').describe('How long it may take.'),
  roots: path().describe('File with the roots that proxies are to trust, PEM.'),
  crl,
})

const kubernetes = z.strictObject({
  type: z.literal('Kubernetes'),
  server: url().default('https://kubernetes.default.svc').describe('Of the API of the cluster.'),
  signerName: z
    .string()
    .max(571)
    .regex(/^[a-z0-9]([-a-z0-9.]*[a-z0-9])?\/[A-Za-z0-9]([-A-Za-z0-9_.:]*[A-Za-z0-9])?$/, {
      message: 'must be a domain and a path such as clusterissuers.cert-manager.io/mesh',
    })
    .describe('The signer that is asked: one that signs for SPIFFE ids as URI names, for servers and clients.'),
  tokenFile: path()
    .default('/var/run/secrets/kubernetes.io/serviceaccount/token')
    .describe(
      'File with the token of a service account that may create, get and delete certificatesigningrequests; read again at each request.',
    ),
  caFile: path().optional().describe('File with the root of the API server, PEM; absent: those of this machine.'),
  roots: path().describe('File with the roots that proxies are to trust, PEM: the API does not tell them.'),
  approve: z
    .boolean()
    .default(false)
    .describe(
      'Whether the control plane approves its own requests, for which it needs the verb approve for the signer. Otherwise somebody else has to.',
    ),
  timeout: duration().default('30s').describe('How long approval and signature may take.'),
})

const workloadAPI = z.strictObject({
  type: z.literal('WorkloadAPI'),
  address: z
    .string()
    .regex(/^unix:\/\/\/[^\0]+$/, { message: 'must be unix:// and an absolute path, such as unix:///run/spire/agent.sock' })
    .describe(
      'Socket of an agent, such as that of SPIRE, that gives identities by the SPIFFE Workload API, to this control plane and to each workload.',
    ),
})

const schema = z.discriminatedUnion('type', [files, vault, stepCA, command, kubernetes, workloadAPI])
export type AuthoritySettings = z.infer<typeof schema>
export type SettingsOf<Type extends AuthoritySettings['type']> = Extract<AuthoritySettings, { type: Type }>

const typeOf = (one: { readonly shape: { readonly type: z.ZodLiteral<AuthoritySettings['type']> } }): string => one.shape.type.value

/** text: YAML or JSON. Throws BadInput with every problem. */
export function readAuthorityFile(text: string, file: string): AuthoritySettings {
  const settings = parseSettings(text, file)
  // By the type it is known which fields there may be: only then can a misspelt one be told from a missing one.
  const said = (settings.value as { readonly type?: unknown } | null)?.type
  const one = [files, vault, stepCA, command, kubernetes, workloadAPI].find(each => typeOf(each) === said) ?? schema
  return checkSettings(settings, one)
}
