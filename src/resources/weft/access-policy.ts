/** AccessPolicy: who may call what, kept by the proxy of the called workload. */

import { z } from 'zod'
import type { Broken, Kind, Resource } from '../kind.ts'
import {
  age,
  atomicList,
  conditions,
  controllerName,
  dnsLabel,
  dnsName,
  headerName,
  hostname,
  network,
  objectName,
  portNumber,
  rules,
  stringMap,
} from '../fields.ts'
import { parentRef } from '../gateway-api/references.ts'
import { enforcedColumn, enforcement } from './enforcement.ts'

/** Where policies for the whole mesh live: who may write there may shut everything. */
export const rootNamespace = 'weft-system'

const groups = { Service: '', Namespace: '', Mesh: 'weft.dev', Workload: 'weft.dev' } as const

const target = z
  .strictObject({
    group: z.enum(['', 'weft.dev']).optional().describe('API group of the target; absent: the one that has the kind.'),
    kind: z
      .enum(['Mesh', 'Namespace', 'Service', 'Workload'])
      .default('Service')
      .describe(
        `Service: the workloads that it selects. Namespace: all workloads of the policy's namespace. Mesh: all workloads, for policies of the namespace ${rootNamespace} only. Workload: those of the namespace that have the labels.`,
      ),
    name: objectName().optional().describe('Name of the Service; for kind Namespace that of the policy, for Mesh "default", or absent.'),
    sectionName: dnsName().optional().describe('A port name of the Service; absent: all its ports.'),
    labels: stringMap()
      .optional()
      .describe('For kind Workload: labels that it must all have; app is its service where it has no such label.'),
  })
  .check(
    rules(function* ({ group, kind, name, sectionName, labels }) {
      if (group !== undefined && group !== groups[kind]) yield { path: ['group'], says: `must be "${groups[kind]}" for kind ${kind}` }
      if (kind === 'Service' && name === undefined) yield { path: ['name'], says: 'is needed for kind Service' }
      if (kind === 'Workload' && name !== undefined) yield { path: ['name'], says: 'does not go with kind Workload: give labels' }
      if (kind === 'Workload' && Object.keys(labels ?? {}).length === 0) yield { path: ['labels'], says: 'are needed for kind Workload' }
      if (kind !== 'Workload' && labels !== undefined) yield { path: ['labels'], says: `do not go with kind ${kind}: remove them` }
      if (kind !== 'Service' && sectionName !== undefined) yield { path: ['sectionName'], says: `does not go with kind ${kind}: remove it` }
    }),
  )
export type AccessTarget = z.infer<typeof target>

const list = <T extends z.ZodType>(item: T) => atomicList(item).min(1).max(64)
export const identity = () =>
  z
    .string()
    .regex(/^(spiffe:\/\/|\*)[^\s]*$/, {
      message: 'must be a SPIFFE id such as spiffe://weft.local/ns/shop/sa/web, or a pattern of one with *',
    })
    .max(2048)
const account = () =>
  z.string().regex(/^([a-z0-9]([-a-z0-9]*[a-z0-9])?\/)?[a-z0-9]([-a-z0-9.]*[a-z0-9])?$/, { message: 'must be NAME or NAMESPACE/NAME' })
const trustDomain = () => z.string().regex(/^[a-z0-9._-]{1,255}$/, { message: 'must be a SPIFFE trust domain' })

const claim = z.strictObject({
  name: z
    .string()
    .regex(/^(\\[^\s]|[^.\\\s])+(\.(\\[^\s]|[^.\\\s])+)*$/, {
      message: 'must be the name of a claim; a dot leads into it, a dot of its name is written \\.',
    })
    .max(256)
    .describe('Name of the claim; a dot leads into it, \\. is a dot in its name.'),
  values: list(z.string().min(1).max(2048)).describe(
    'Of which it must be one, of a list any element, of scope any word; true and false are written so. * at an end stands for anything.',
  ),
})
export type AccessClaim = z.infer<typeof claim>

const source = z
  .strictObject({
    identities: list(identity())
      .optional()
      .describe(
        'SPIFFE ids, or patterns: * at the end or the beginning stands for anything, elsewhere for a part between slashes. "*" alone: any proven identity.',
      ),
    namespaces: list(dnsLabel()).optional().describe('Namespaces, as the identity names them.'),
    serviceAccounts: list(account()).optional().describe("Service accounts: NAME in the policy's namespace, or NAMESPACE/NAME."),
    trustDomains: list(trustDomain())
      .optional()
      .describe('Trust domains; absent: namespaces and service accounts are those of the mesh itself.'),
    ipBlocks: list(network())
      .optional()
      .describe('Addresses or networks from which the connection comes; behind a PROXY header, what that says.'),
    claims: list(claim)
      .optional()
      .describe('What a token says that a JWTPolicy has verified: all of these. Without such a token it does not hold.'),
    issuers: list(z.string().min(1).max(2048))
      .optional()
      .describe('Whose token it is, as the claim iss says it. Without a verified token it does not hold.'),
    notIdentities: list(identity()).optional().describe('As identities: none of these.'),
    notNamespaces: list(dnsLabel()).optional().describe('As namespaces: none of these.'),
    notServiceAccounts: list(account()).optional().describe('As serviceAccounts: none of these.'),
    notTrustDomains: list(trustDomain()).optional().describe('As trustDomains: none of these.'),
    notIpBlocks: list(network()).optional().describe('As ipBlocks: none of these.'),
  })
  .check(rules(notEmpty))
export type AccessSource = z.infer<typeof source>

const path = z
  .strictObject({
    type: z.enum(['Exact', 'Prefix', 'Suffix']).default('Prefix').describe('Prefix: whole segments, /a is /a and /a/b and not /ab.'),
    value: z.string().min(1).max(1024).describe('In normal form; case counts.'),
  })
  .check(
    rules(function* ({ type, value }) {
      if (type !== 'Suffix' && !value.startsWith('/')) yield { path: ['value'], says: 'must begin with /' }
      if (/\/\/|[?#;\\\s]|(^|\/)\.{1,2}(\/|$)/.test(value))
        yield {
          path: ['value'],
          says: 'is not in normal form, so that no request would match: no //, no . or .. segments, no ? # ; or backslash',
        }
    }),
  )
export type AccessPath = z.infer<typeof path>

const header = z.strictObject({
  name: headerName().describe('Name of the header.'),
  values: list(z.string().max(4096))
    .optional()
    .describe(
      'Of which one value must be one; each value of the header is looked at by itself. * at an end stands for anything. Absent: it must be there.',
    ),
  notValues: list(z.string().max(4096)).optional().describe('As values: none of these.'),
})
const grpc = z.strictObject({
  service: z
    .string()
    .regex(/^[A-Za-z_][\w.]*$/, { message: 'must be the full name of a service, such as shop.Cart' })
    .describe('Full name of the service.'),
  method: z
    .string()
    .regex(/^[A-Za-z_]\w*$/, { message: 'must be the name of a method' })
    .optional()
    .describe('One of its methods; absent: all.'),
})

const method = () => z.string().regex(/^[!#$%&'*+\-.^_`|~0-9A-Za-z]{1,32}$/, { message: 'must be a method of HTTP' })

export const plainOperation = z.strictObject({
  ports: list(portNumber()).optional().describe('Ports on which the workload itself listens.'),
  methods: list(method()).optional().describe('Methods of HTTP; case counts where it lets in, and not where it shuts out.'),
  paths: list(path).optional().describe('Paths of HTTP, normalised before they are compared.'),
  hosts: list(hostname()).optional().describe('Hosts of HTTP, without port; *.example for all names below it.'),
  headers: list(header).optional().describe('Headers of HTTP: all of these.'),
  grpc: list(grpc).optional().describe('Calls of gRPC.'),
  notPorts: list(portNumber()).optional().describe('As ports: none of these.'),
  notMethods: list(method()).optional().describe('As methods: none of these; case counts where it shuts out, and not where it lets in.'),
  notPaths: list(path).optional().describe('As paths: none of these.'),
  notHosts: list(hostname()).optional().describe('As hosts: none of these.'),
})
const operation = plainOperation.check(rules(notEmpty))
export type AccessOperation = z.infer<typeof operation>

function* notEmpty(one: object): Iterable<Broken> {
  if (Object.keys(one).length === 0) yield { path: [], says: 'must say something: an empty entry would mean everything' }
}

const days = ['Mon', 'Tue', 'Wed', 'Thu', 'Fri', 'Sat', 'Sun'] as const
const moment = () =>
  z
    .string()
    .max(64)
    .regex(/^\d{4}-\d\d-\d\d[Tt]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)$/, {
      message: 'must be a moment of RFC 3339 such as 2026-12-01T00:00:00Z',
    })
const wall = () => z.string().regex(/^(([01]\d|2[0-3]):[0-5]\d|24:00)$/, { message: 'must be HH:MM, from 00:00 up to 24:00' })

const window = z
  .strictObject({
    notBefore: moment().optional().describe('From this moment on, RFC 3339.'),
    notAfter: moment().optional().describe('Up to this moment, which is no more in it, RFC 3339.'),
    days: atomicList(z.enum(days)).min(1).max(7).optional().describe('Days on which it begins; absent: all.'),
    from: wall().optional().describe('When it begins, as a clock on the wall shows it.'),
    to: wall().optional().describe('When it ends, and is no more in it; before from: on the next day. Absent, as from: the whole day.'),
    timeZone: z
      .string()
      .regex(/^[A-Za-z][A-Za-z0-9_+-]*(\/[A-Za-z0-9_+-]+)*$/, { message: 'must be the name of a time zone such as Europe/Berlin, or UTC' })
      .max(64)
      .optional()
      .describe('Where that clock hangs: a name of the IANA time zone database. Needed with days, from or to.'),
  })
  .check(rules(notEmpty))
  .check(
    rules(function* ({ notBefore, notAfter, days: on, from, to, timeZone }) {
      for (const [field, value] of [
        ['notBefore', notBefore],
        ['notAfter', notAfter],
      ] as const)
        if (value !== undefined && !isMoment(value)) yield { path: [field], says: `"${value}" is no moment: there is no such day or hour` }
      if (notBefore !== undefined && notAfter !== undefined && Date.parse(notBefore) >= Date.parse(notAfter))
        yield { path: ['notAfter'], says: 'must be later than notBefore: it would end before it begins' }
      if ((from === undefined) !== (to === undefined))
        yield { path: [from === undefined ? 'from' : 'to'], says: 'give both from and to, or none for whole days' }
      if (from !== undefined && from === to) yield { path: ['to'], says: 'must differ from "from": leave both out for whole days' }
      if (from === '24:00') yield { path: ['from'], says: 'must be before 24:00: write 00:00 of the next day' }
      const isWeekly = on !== undefined || from !== undefined
      if (isWeekly && timeZone === undefined)
        yield { path: ['timeZone'], says: 'is needed with days, from or to, such as Europe/Berlin, or UTC' }
      if (!isWeekly && timeZone !== undefined) yield { path: ['timeZone'], says: 'goes with days, from or to only: remove it' }
      if (timeZone !== undefined && !isZone(timeZone))
        yield { path: ['timeZone'], says: `"${timeZone}" is no name of the IANA time zone database` }
    }),
  )
export type AccessWindow = z.infer<typeof window>

/** What `Date` corrects, such as February 30, is none. */
function isMoment(text: string): boolean {
  const ms = Date.parse(text)
  const day = Number(text.slice(8, 10))
  return !Number.isNaN(ms) && new Date(Date.UTC(Number(text.slice(0, 4)), Number(text.slice(5, 7)) - 1, day)).getUTCDate() === day
}

function isZone(name: string): boolean {
  try {
    return new Intl.DateTimeFormat('en-US', { timeZone: name }).resolvedOptions().timeZone !== ''
  } catch {
    return false
  }
}

const rule = z.strictObject({
  from: list(source).optional().describe('Who calls: one of these; of one all that it says. Absent: everybody.'),
  to: list(operation).optional().describe('What is called: one of these; of one all that it says. Absent: everything.'),
  when: atomicList(window)
    .min(1)
    .max(16)
    .optional()
    .describe(
      'At which times the rule holds: in one of these; of one all that it says. Absent: always. What is open is judged again when one begins or ends.',
    ),
})

const spec = z
  .strictObject({
    targetRefs: atomicList(target).min(1).max(16).describe('Whose callers it judges.'),
    action: z
      .enum(['Allow', 'Deny', 'Audit'])
      .default('Allow')
      .describe(
        'Deny goes first. As soon as an Allow policy holds for a workload, what none allows is denied. Audit changes nothing: it counts what would be denied.',
      ),
    audits: z.enum(['Allow', 'Deny']).optional().describe('For action Audit: as which action the rules are tried; absent: Deny.'),
    rules: atomicList(rule).max(256).default([]).describe('Of which one must hold. None: an Allow policy without rules allows nothing.'),
  })
  .check(
    rules(function* ({ action, audits }) {
      if (audits !== undefined && action !== 'Audit') yield { path: ['audits'], says: 'goes with action Audit only: remove it' }
    }),
  )
export type AccessPolicySpec = z.infer<typeof spec>
export type AccessPolicy = Resource<AccessPolicySpec>

export const accessPolicy: Kind = {
  group: 'weft.dev',
  version: 'v1alpha1',
  kind: 'AccessPolicy',
  plural: 'accesspolicies',
  singular: 'accesspolicy',
  shortNames: [],
  categories: ['weft'],
  namespaced: true,
  hasStatus: true,
  description:
    'An AccessPolicy says who may call what. The proxy of the called workload keeps it, whoever calls: requests are answered 403 or PERMISSION_DENIED with the code access-denied, connections are reset.',
  schema: z.strictObject({
    spec: spec.describe('For whom it holds and what it says.'),
    status: z
      .strictObject({
        ancestors: atomicList(
          z.strictObject({
            ancestorRef: parentRef.describe('The target in question.'),
            controllerName: controllerName().describe('Who reports.'),
            conditions: conditions().describe(
              'Accepted, PartiallyInvalid where a rule cannot be carried out at some port, and Enforced: whether all proxies keep it that have to.',
            ),
          }),
        )
          .max(16)
          .describe('One entry for each target.'),
        enforcement: enforcement(),
      })
      .optional()
      .describe('What the control plane makes of it.'),
  }),
  columns: [
    { name: 'Action', type: 'string', description: 'Allow, Deny or Audit', value: r => (r as AccessPolicy).spec?.action },
    {
      name: 'Targets',
      type: 'string',
      description: 'Whose callers it judges',
      value: r =>
        ((r as AccessPolicy).spec?.targetRefs ?? [])
          .map(({ kind, name, sectionName, labels }) => {
            const what =
              labels === undefined
                ? name
                : Object.entries(labels)
                    .map(([key, value]) => `${key}=${value}`)
                    .join(',')
            return `${kind}${what === undefined ? '' : `/${what}`}${sectionName === undefined ? '' : `#${sectionName}`}`
          })
          .join(','),
    },
    { name: 'Rules', type: 'string', description: 'How many', value: r => String((r as AccessPolicy).spec?.rules?.length ?? 0) },
    enforcedColumn,
    age,
  ],
}
