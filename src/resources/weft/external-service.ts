/** ExternalService: something outside the mesh that is called by name. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, dnsName, hostname, mapList, objectName, portNumber, rules } from '../fields.ts'
import type { Kind, Resource } from '../kind.ts'

const local = (what: string) => z.strictObject({ name: objectName().describe(what) })

const tls = z
  .strictObject({
    mode: z
      .enum(['Originate', 'Mesh'])
      .optional()
      .describe(
        'Originate: workloads call it in plaintext, and their proxy speaks TLS to it. Mesh: it is a workload of another mesh, reached by mutual TLS with the identities of both; its TrustDomain says by which roots. TLS of the workload itself is passed on by protocol TLS.',
      ),
    profile: z
      .enum(['modern', 'compatible', 'fips', 'pqc'])
      .optional()
      .describe(
        'What may be agreed on: modern (TLS 1.3), compatible (TLS 1.2 with ECDHE and AEAD too), fips (as NIST SP 800-52r2 lists it), pqc (X25519MLKEM768 or nothing). Absent: compatible.',
      ),
    identities: atomicList(
      z.string().regex(/^spiffe:\/\/[a-z0-9._-]{1,255}\/[^\s*]+$/, {
        message: 'must be a SPIFFE id such as spiffe://partner.example/ns/shop/sa/web',
      }),
    )
      .min(1)
      .max(16)
      .optional()
      .describe('For mode Mesh: SPIFFE ids of which it must prove one.'),
    serverName: dnsName()
      .optional()
      .describe('The name in the TLS hello, which the certificate must prove. Absent: the host that was called.'),
    subjectAltNames: atomicList(dnsName())
      .min(1)
      .max(16)
      .optional()
      .describe('Names of which the certificate must prove one, instead of serverName.'),
    caCertificateRef: local('Name of a ConfigMap of the same namespace, with the accepted roots in ca.crt (PEM).')
      .optional()
      .describe("Whom to trust. Absent: the roots of the proxy's machine."),
    clientCertificateRef: local('Name of a Secret of the same namespace, of type kubernetes.io/tls.')
      .optional()
      .describe(
        "The certificate that is shown to it. Only proxies of the ExternalService's own namespace are given the key; for all others such a port leads nowhere.",
      ),
  })
  .check(
    rules(function* (one) {
      if (Object.keys(one).length === 0) yield { path: [], says: 'must say something: write mode: Originate' }
      if (one.mode !== 'Mesh') {
        if (one.identities !== undefined) yield { path: ['identities'], says: 'goes with mode Mesh only: remove it' }
        return
      }
      if (one.identities === undefined) yield { path: ['identities'], says: 'is needed with mode Mesh: whom the other end must be' }
      for (const field of ['serverName', 'subjectAltNames', 'caCertificateRef', 'clientCertificateRef'] as const)
        if (one[field] !== undefined)
          yield { path: [field], says: 'does not go with mode Mesh, where identities are proven by SPIFFE ids: remove it' }
    }),
  )
  .describe('TLS towards it.')

const port = z
  .strictObject({
    name: dnsName().optional().describe('Name of the port; needed where there are several. Routes refer to it as sectionName.'),
    port: portNumber().describe('The port that workloads call.'),
    targetPort: portNumber().optional().describe('The port on which it listens; absent: the same.'),
    protocol: z
      .enum(['HTTP', 'HTTP2', 'GRPC', 'TLS', 'TCP', 'UDP'])
      .optional()
      .describe(
        'What workloads speak to it: HTTP of either version, HTTP2 or GRPC without TLS; TLS that is passed on undecrypted; opaque TCP; datagrams. Absent: found out from the first bytes.',
      ),
    tls: tls.optional(),
  })
  .check(
    rules(function* ({ protocol, tls: originates }) {
      if (originates !== undefined && (protocol === 'TLS' || protocol === 'UDP'))
        yield {
          path: ['tls'],
          says: `does not go with protocol ${protocol}: ${protocol === 'TLS' ? 'the workload speaks TLS itself' : 'TLS is for TCP'}`,
        }
    }),
  )

const endpoint = z.strictObject({
  address: dnsName().describe('An IP address, or with resolution DNS a host name.'),
  port: portNumber().optional().describe('Its port; absent: the targetPort of each port.'),
  weight: z.int32().min(0).max(1_000_000).default(1).describe('Its share of the traffic.'),
  region: z.string().max(63).optional().describe('Where it is, for callers that prefer what is near.'),
  zone: z.string().max(63).optional().describe('The zone of the region.'),
})

const isAddress = (text: string): boolean => /^\d{1,3}(\.\d{1,3}){3}$/.test(text)

const spec = z
  .strictObject({
    hosts: atomicList(hostname())
      .min(1)
      .max(32)
      .check(
        rules(function* (hosts) {
          for (const [at, host] of hosts.entries()) {
            if (hosts.indexOf(host) < at) yield { path: [at], says: 'repeats an earlier entry: remove one' }
            if (/(^|\.)(cluster\.local|mesh)$/.test(host))
              yield { path: [at], says: 'is a name that only Services of the mesh have: remove it' }
            if (isAddress(host))
              yield {
                path: [at],
                says: 'is an address, which nobody asks DNS for: write a name here, and this under endpoints with resolution Static',
              }
          }
        }),
      )
      .describe(
        "The names by which it is called. The mesh's DNS answers each exact name with an address of its own, so that two hosts on one port are told apart. *.example.com: all names below, told apart by the server name of TLS or the host of HTTP.",
      ),
    ports: mapList(port, 'port')
      .min(1)
      .max(32)
      .check(
        rules(function* (ports) {
          for (const [at, one] of ports.entries()) {
            if (ports.findIndex(other => other.port === one.port && (other.protocol === 'UDP') === (one.protocol === 'UDP')) < at)
              yield { path: [at, 'port'], says: 'is that of an earlier entry: remove one' }
            if (ports.length > 1 && one.name === undefined) yield { path: [at, 'name'], says: 'is needed where there are several ports' }
          }
        }),
      )
      .describe('Its ports.'),
    resolution: z
      .enum(['DNS', 'Static', 'Original'])
      .default('DNS')
      .describe(
        'Where connections go. DNS: the proxy looks the called host up, or the host names of endpoints. Static: to endpoints, by IP address. Original: to the address that the caller wanted, for wildcard hosts only.',
      ),
    endpoints: atomicList(endpoint).min(1).max(64).optional().describe('Where it runs, for all hosts alike. Needed for Static.'),
  })
  .check(
    rules(function* ({ hosts, ports, resolution, endpoints }) {
      for (const [at, { tls: speaks }] of ports.entries())
        if (speaks?.mode === 'Mesh' && resolution !== 'Static')
          yield {
            path: ['ports', at, 'tls', 'mode'],
            says: 'Mesh goes with resolution Static: give the addresses of the workloads or of what leads to them',
          }
      const wild = hosts.findIndex(host => host.startsWith('*.'))
      const exact = hosts.findIndex(host => !host.startsWith('*.'))
      if (resolution === 'Static' && endpoints === undefined) yield { path: ['endpoints'], says: 'are needed with resolution Static' }
      if (resolution === 'Original' && endpoints !== undefined)
        yield { path: ['endpoints'], says: 'do not go with resolution Original: remove them' }
      if (resolution === 'Original' && exact >= 0)
        yield { path: ['hosts', exact], says: 'an exact host has an address of the mesh, and no original one: use resolution DNS' }
      if (resolution === 'Static')
        for (const [at, { address }] of (endpoints ?? []).entries())
          if (!isAddress(address)) yield { path: ['endpoints', at, 'address'], says: 'must be an IPv4 address with resolution Static' }
      if (wild >= 0)
        for (const [at, { protocol }] of ports.entries())
          if (protocol === 'TCP' || protocol === 'UDP')
            yield {
              path: ['ports', at, 'protocol'],
              says: `nothing in ${protocol} tells the names of ${hosts[wild]} apart: name exact hosts`,
            }
    }),
  )
export type ExternalServiceSpec = z.infer<typeof spec>
export type ExternalService = Resource<ExternalServiceSpec>

export const externalService: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'ExternalService',
  plural: 'externalservices',
  singular: 'externalservice',
  shortNames: ['extsvc'],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'An ExternalService is something outside the mesh that is called by name: by all workloads of the mesh, with routes and policies as a Service has them. It can be a parentRef and a backendRef of routes, and a target of BackendPolicy.',
  schema: z.strictObject({
    spec: spec.describe('Its names, its ports, and where connections go.'),
    status: z
      .strictObject({
        conditions: conditions().optional().describe('Accepted, and Conflicted where another one has a host already.'),
        addresses: atomicList(
          z.strictObject({
            type: z.string().max(253).describe('The host.'),
            value: z.string().max(253).describe('Its address in the mesh.'),
          }),
        )
          .max(32)
          .optional()
          .describe("What the mesh's DNS answers."),
      })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    { name: 'Hosts', type: 'string', description: 'Its names', value: r => ((r as ExternalService).spec?.hosts ?? []).join(',') },
    {
      name: 'Ports',
      type: 'string',
      description: 'Its ports',
      value: r =>
        ((r as ExternalService).spec?.ports ?? [])
          .map(each => `${each.port}${each.protocol === undefined ? '' : `/${each.protocol}`}`)
          .join(','),
    },
    { name: 'Resolution', type: 'string', description: 'Where connections go', value: r => (r as ExternalService).spec?.resolution },
    conditionColumn('Accepted'),
    age,
  ],
}
