import assert from 'node:assert/strict'
import { test } from 'node:test'
import { readDocuments } from '#resources/read'
import { admit } from '#resources/validate'
import { compile, type CompileOptions } from '../../compiler.ts'

const options: CompileOptions = { trustDomain: 'weft.local', roots: [] }
const issuer = `
apiVersion: weft.dev/v1alpha1
kind: CertificateIssuer
metadata: { name: ca, namespace: default }
spec: { server: https://ca.example/acme/directory }
`
const gateway = (listeners: string, name = 'edge'): string => `
apiVersion: gateway.networking.k8s.io/v1
kind: Gateway
metadata: { name: ${name}, namespace: default, annotations: { weft.dev/certificate-issuer: ca } }
spec: { gatewayClassName: weft, listeners: [${listeners}] }
`
const web = '{ name: web, port: 80, protocol: HTTP }'
const secure = (host: string, secret = 'tls', name = 'secure'): string =>
  `{ name: ${name}, port: 443, protocol: HTTPS${host && `, hostname: "${host}"`}, tls: { certificateRefs: [{ name: ${secret} }] } }`
const secret = (annotations: string): string => `
apiVersion: v1
kind: Secret
metadata: { name: tls, namespace: default, annotations: ${annotations} }
type: kubernetes.io/tls
data: { tls.crt: "", tls.key: "" }
`
function compiled(documents: readonly string[], more: Partial<CompileOptions> = {}) {
  const { resources, problems } = readDocuments(documents.join('---'), 'test')
  assert.deepEqual(problems, [])
  return compile(resources.map(admit), { workloads: [] } as never, { ...options, ...more })
}
const issued = ({ statuses }: ReturnType<typeof compiled>): string => {
  const { conditions = [] } = statuses.find(({ kind }) => kind === 'CertificateIssuer') ?? {}
  return conditions.map(({ type, status, reason, message }) => `${type} ${status} ${reason}: ${message}`).join('\n')
}

test('listeners of one Secret get one certificate for all their hosts', () => {
  const { ordered } = compiled([
    issuer,
    gateway(`${web}, ${secure('a.example')}, ${secure('b.example', 'tls', 'other')}, ${secure('c.example', 'own', 'third')}`),
  ])
  const at = (...hosts: string[]) => hosts.map(host => ({ host, gateway: 'default/edge' }))
  assert.deepEqual(ordered, [
    { issuer: 'default/ca', secret: 'default/own', hosts: at('c.example') },
    { issuer: 'default/ca', secret: 'default/tls', hosts: at('a.example', 'b.example') },
  ])
})

test('a Secret of an operator is left alone, one that an issuer filled is kept fresh', () => {
  const documents = [issuer, gateway(`${web}, ${secure('a.example')}`)]
  assert.deepEqual(compiled([...documents, secret('{}')]).ordered, [])
  assert.equal(compiled([...documents, secret('{ weft.dev/certificate-issuer: ca }')]).ordered.length, 1)
})

test('what cannot be proved is refused with the reason, and not ordered', () => {
  const cases: readonly (readonly [listeners: string, says: RegExp])[] = [
    [`${web}, ${secure('*.example')}`, /OrderFailed: Secret tls: .*a wildcard needs the challenge dns-01/],
    [`${web}, ${secure('')}`, /fills it when the listener has a hostname/],
    [secure('a.example'), /Gateway default\/edge has no HTTP listener by which http-01 could prove a\.example/],
  ]
  for (const [listeners, says] of cases) {
    const found = compiled([issuer, gateway(listeners)])
    assert.match(issued(found), says)
    assert.deepEqual(found.ordered, [])
  }
  assert.deepEqual(compiled([gateway(`${web}, ${secure('a.example')}`)]).ordered, [])
})

test('what became of an order is told, with what is served until then', () => {
  const documents = [issuer, gateway(`${web}, ${secure('a.example')}`)]
  assert.match(issued(compiled(documents)), /Issued False Pending: ordered: Secret tls/)
  const problem = 'dns: no such host'
  assert.match(
    issued(compiled(documents, { orders: { 'default/tls': { problem } } })),
    /Issued False OrderFailed: Secret tls: dns: no such host$/,
  )
  const late = compiled(documents, { orders: { 'default/tls': { problem, notAfter: '2030-01-01T00:00:00Z' } } })
  assert.match(
    issued(late),
    /no such host; the last certificate serves on, is good until 2030-01-01T00:00:00Z, and from \S+ on its end is near$/,
  )
  const had = compiled(documents, { orders: { 'default/tls': { notAfter: '2030-01-01T00:00:00Z' } } })
  assert.match(issued(had), /Issued True Issued/)
})

test('a challenge is answered before all routes of plain HTTP, at its Gateway only, for its host', () => {
  const challenges = [{ gateway: 'default/edge', host: 'a.example', token: 'abc', answer: 'abc.key' }]
  const wide =
    '{ name: web, port: 80, protocol: HTTP, hostname: "*.example" }, { name: else, port: 80, protocol: HTTP, hostname: other.test }'
  const found = compiled([issuer, gateway(`${wide}, ${secure('a.example')}`), gateway(web, 'inner')], { challenges })
  const hosts = (name: string, { mesh } = found) =>
    Object.values(mesh.gateways[`default/${name}`]!.routes).flatMap(({ hosts: all }) =>
      all.map(
        ({ name: host, routes }) => `${host}: ${routes.map(({ match, action }) => `${match.path?.value} ${JSON.stringify(action)}`)}`,
      ),
    )
  const answered = '/.well-known/acme-challenge/abc {"type":"respond","status":200,"detail":"abc.key"}'
  assert.deepEqual(hosts('edge').toSorted(), [`*.example: ${answered}`, 'other.test: '])
  assert.deepEqual(hosts('inner'), ['*: '])
  const elsewhere = compiled([issuer, gateway(`{ name: web, port: 80, protocol: HTTP, hostname: other.test }, ${secure('a.example')}`)], {
    challenges,
  })
  assert.deepEqual(hosts('edge', elsewhere).toSorted(), [`a.example: ${answered}`, 'other.test: '])
})

test('policies of the Gateway do not hold for a challenge', () => {
  const policy = `
apiVersion: weft.dev/v1alpha1
kind: JWTPolicy
metadata: { name: staff, namespace: default }
spec:
  targetRefs: [{ group: gateway.networking.k8s.io, kind: Gateway, name: edge }]
  providers: [{ name: company, issuer: "https://login.example", jwks: { url: "https://login.example/keys" } }]
`
  const service = `
apiVersion: v1
kind: Service
metadata: { name: shop, namespace: default }
spec: { selector: { app: shop }, ports: [{ port: 80, appProtocol: http }] }
`
  const route = `
apiVersion: gateway.networking.k8s.io/v1
kind: HTTPRoute
metadata: { name: shop, namespace: default }
spec: { parentRefs: [{ name: edge }], rules: [{ backendRefs: [{ name: shop, port: 80 }] }] }
`
  const challenges = [{ gateway: 'default/edge', host: 'a.example', token: 'abc', answer: 'abc.key' }]
  const { mesh } = compiled([issuer, gateway(web), policy, service, route], { challenges })
  const routes = Object.values(mesh.gateways['default/edge']!.routes).flatMap(({ hosts }) => hosts.flatMap(each => each.routes))
  assert.deepEqual(
    routes.map(({ name, tokens }) => `${name}: ${tokens}`),
    ['acme/a.example/abc: undefined', 'HTTPRoute/default/shop/0: default/staff'],
  )
})
