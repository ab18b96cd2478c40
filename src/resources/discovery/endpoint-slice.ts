/** discovery.k8s.io/v1 EndpointSlice: endpoints of a Service that somebody wrote down, in place of a selector. */

import { z } from 'zod'
import { age, atomicList, conditionColumn, conditions, dnsLabel, portNumber, setList, stringMap } from '../fields.ts'
import type { Broken, Kind, Resource } from '../kind.ts'

export const discoveryGroup = 'discovery.k8s.io'
/** The label that names the Service. */
export const serviceNameLabel = 'kubernetes.io/service-name'

const endpoint = z.strictObject({
  addresses: setList(z.string().min(1))
    .min(1)
    .max(100)
    .describe(
      'Where it is reached; all lead to the same, the first is used. An address of a workload leads to that workload by mutual TLS.',
    ),
  conditions: z
    .strictObject({
      ready: z.boolean().optional().describe('Whether it is given traffic; absent: it is.'),
      serving: z.boolean().optional().describe('Whether it answers, be it on its way out; absent: as ready.'),
      terminating: z.boolean().optional().describe('Whether it is going away: used only when nothing better is there.'),
    })
    .optional()
    .describe('How it is.'),
  hostname: dnsLabel().optional().describe('Its own name; says nothing here.'),
  nodeName: z.string().optional().describe('The machine that it runs on.'),
  zone: z.string().optional().describe('The zone that it runs in.'),
  targetRef: z
    .strictObject({
      apiVersion: z.string().optional().describe('Version of the object.'),
      kind: z.string().optional().describe('Kind of the object.'),
      namespace: z.string().optional().describe('Namespace of the object.'),
      name: z.string().optional().describe('Name of the object.'),
      uid: z.string().optional().describe('The object as it was.'),
      resourceVersion: z.string().optional().describe('The object as it was.'),
      fieldPath: z.string().optional().describe('Part of the object.'),
    })
    .optional()
    .describe('What stands behind it, for people: what it is, its address says.'),
  deprecatedTopology: stringMap().optional().describe('Says nothing here.'),
  hints: z
    .strictObject({
      forZones: atomicList(z.strictObject({ name: z.string().describe('The zone.') }))
        .optional()
        .describe('Zones.'),
      forNodes: atomicList(z.strictObject({ name: z.string().describe('The machine.') }))
        .optional()
        .describe('Machines.'),
    })
    .optional()
    .describe('For whom a controller meant it; says nothing here, for what is near comes first by a BackendPolicy.'),
})

const port = z.strictObject({
  name: z
    .string()
    .max(63)
    .regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?)?$/, { message: 'must be the name of a port: lower-case letters, digits and "-"' })
    .optional()
    .describe('The port of the Service that it stands behind, by its name.'),
  protocol: z.enum(['TCP', 'UDP', 'SCTP']).optional().describe('The transport; absent: TCP.'),
  port: portNumber().optional().describe('Where the endpoints listen.'),
  appProtocol: z.string().optional().describe('What is spoken, where the Service does not say.'),
})

type Shape = {
  addressType: 'IPv4' | 'IPv6' | 'FQDN'
  endpoints?: readonly { addresses: readonly string[] }[] | undefined
  ports?: readonly { name?: string | undefined }[] | null | undefined
}

function* usable(document: unknown): Iterable<Broken> {
  const { addressType, endpoints = [], ports } = document as Shape
  for (const [at, { addresses }] of endpoints.entries())
    for (const [nth, address] of addresses.entries()) {
      const says = whyUnusable(addressType, address)
      if (says !== undefined) yield { path: ['endpoints', at, 'addresses', nth], says }
    }
  const names = (ports ?? []).map(({ name = '' }) => name)
  for (const [at, name] of names.entries())
    if (names.indexOf(name) < at) yield { path: ['ports', at, 'name'], says: `"${name}" is taken by ports[${names.indexOf(name)}]` }
}

function whyUnusable(type: Shape['addressType'], address: string): string | undefined {
  if (type === 'FQDN') return undefined
  if (type === 'IPv6') return isIPv6(address) ? whyNotV6(address.toLowerCase()) : `"${address}" is not an IPv6 address`
  return isIPv4(address) ? whyNotV4(address) : `"${address}" is not an IPv4 address`
}

const isIPv4 = (text: string): boolean =>
  /^(0|[1-9]\d{0,2})(\.(0|[1-9]\d{0,2})){3}$/.test(text) && text.split('.').every(part => Number(part) <= 255)
const isIPv6 = (text: string): boolean => text.includes(':') && /^[0-9a-fA-F:.]+$/.test(text) && URL.canParse(`http://[${text}]/`)

/** As Kubernetes has it: nothing that means another place on each machine; and no address that the mesh gives to something else. */
function whyNotV4(address: string): string | undefined {
  if (address.startsWith('127.')) return `${address} is a loopback address, which is another place for each caller`
  if (address === '0.0.0.0') return '0.0.0.0 is no address of anybody'
  if (address.startsWith('169.254.')) return `${address} is a link-local address`
  if (Number(address.split('.')[0]) >= 224 && !address.startsWith('240.80.'))
    return /^240\.7[789]\./.test(address)
      ? `${address} is an address of the mesh for a Service or a name: name workloads, or make a route to that Service`
      : `${address} is a multicast or reserved address`
  return undefined
}

function whyNotV6(address: string): string | undefined {
  const canonical = new URL(`http://[${address}]/`).hostname.slice(1, -1)
  if (canonical === '::1') return '::1 is the loopback address, which is another place for each caller'
  if (canonical === '::') return ':: is no address of anybody'
  if (/^fe[89ab]/.test(canonical)) return `${address} is a link-local address`
  if (canonical.startsWith('ff')) return `${address} is a multicast address`
  return canonical.startsWith('::ffff:') ? `${address} is an IPv4 address: write it as one, with addressType IPv4` : undefined
}

export type EndpointSlice = Resource & {
  readonly addressType: 'IPv4' | 'IPv6' | 'FQDN'
  readonly endpoints?: readonly z.infer<typeof endpoint>[]
  readonly ports?: readonly z.infer<typeof port>[]
}

export const endpointSlice: Kind = {
  group: discoveryGroup,
  version: 'v1',
  kind: 'EndpointSlice',
  plural: 'endpointslices',
  singular: 'endpointslice',
  shortNames: [],
  categories: [],
  namespaced: true,
  hasStatus: true,
  description:
    'An EndpointSlice names endpoints of a Service without a selector, which the label kubernetes.io/service-name names. Ports belong together by their names. An address of a workload of the mesh leads to that workload, by mutual TLS; any other is reached in plaintext, and only where an AuthenticationPolicy lets the Service be reached so.',
  schema: z.strictObject({
    addressType: z.enum(['IPv4', 'IPv6', 'FQDN']).describe('What the addresses are. FQDN is refused in status: make an ExternalService.'),
    endpoints: atomicList(endpoint).optional().describe('The endpoints.'),
    ports: atomicList(port).optional().describe('At which ports of each endpoint the ports of the Service are served.'),
    status: z
      .strictObject({ conditions: conditions().optional().describe('Accepted, and ResolvedRefs: whether all endpoints are used.') })
      .optional()
      .describe('What has become of it.'),
  }),
  check: usable,
  columns: [
    { name: 'AddressType', type: 'string', description: 'What the addresses are', value: r => (r as EndpointSlice).addressType },
    {
      name: 'Ports',
      type: 'string',
      description: 'Ports of the endpoints',
      value: r => ((r as EndpointSlice).ports ?? []).map(each => each.port ?? '*').join(',') || '<unset>',
    },
    {
      name: 'Endpoints',
      type: 'string',
      description: 'Addresses of the endpoints',
      value: r => ((r as EndpointSlice).endpoints ?? []).flatMap(each => each.addresses).join(',') || '<unset>',
    },
    conditionColumn('Accepted'),
    age,
  ],
}
