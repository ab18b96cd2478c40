/** `weft cert revoke` and `weft cert revocations`: whom the mesh believes no more. Each revocation is a resource like any other: kept, audited, in a file if one likes. */

import { defaultIdTemplate, idBy } from '#base/id-template'
import type { Client } from '#api/client'
import type { Resource } from '#resources/kind'
import { type Revocation, revocationReasons, type RevocationSpec } from '#resources/weft'
import { badUsage, exit } from '../exit.ts'
import { readDuration, tellAgo } from '../moment.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

type Common = { readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string }
type Flags = Common & {
  readonly serial?: readonly string[]
  readonly trustDomain?: readonly string[]
  readonly reason?: string
  readonly comment?: string
  readonly until?: string
  readonly name?: string
  readonly undo?: boolean
}
type Subject = Pick<RevocationSpec, 'identities' | 'serials' | 'trustDomains'>

const kind = { group: 'weft.dev', version: 'v1alpha1', plural: 'revocations', namespaced: false }

/** identities: SPIFFE ids and patterns, or SERVICE.NAMESPACE. */
export async function revoke(session: Session, identities: readonly string[], flags: Flags): Promise<number> {
  const { serial = [], trustDomain = [], undo, output = 'table' } = flags
  if (identities.length + serial.length + trustDomain.length === 0)
    throw badUsage(['whom? Give a SPIFFE id or SERVICE.NAMESPACE, --serial or --trust-domain'])
  const spec = undo === true ? undefined : settingsOf(flags, session.now())
  const { client } = await session.reach(flags.control)
  const subject = await subjectOf(client, identities, serial, trustDomain)
  if (spec === undefined) return takeBack(session, client, subject, flags.name)
  const name = flags.name ?? nameFor(subject)
  const { resource } = await client.apply(
    kind,
    { apiVersion: 'weft.dev/v1alpha1', kind: 'Revocation', metadata: { name }, spec: { ...subject, ...spec } },
    { fieldManager: 'weft-cert-revoke', force: true },
  )
  if (output !== 'table') await printAs(session.say, output, resource)
  else {
    session.say.out(`revocation/${name} ${session.say.paint('red', 'revokes')} ${told(subject)}`)
    session.say.out('its open connections end within seconds; take it back with the same words and --undo')
  }
  return exit.ok
}

/** All that hold, newest first. */
export async function revocations(session: Session, { output = 'table', control }: Common): Promise<number> {
  const { client } = await session.reach(control)
  const items = [...((await client.list(kind)).items as readonly Revocation[])].sort((one, other) =>
    createdAt(one) < createdAt(other) ? 1 : -1,
  )
  const { say } = session
  if (output !== 'table') {
    await printAs(say, output, items)
    return exit.ok
  }
  if (items.length === 0) say.out('nobody is revoked')
  else
    printTable(
      say,
      [{ name: 'name' }, { name: 'revokes' }, { name: 'reason' }, { name: 'since' }, { name: 'until' }, { name: 'comment' }],
      items.map(each => [
        each.metadata.name,
        told(each.spec ?? {}),
        each.spec?.reason ?? '',
        tellAgo(createdAt(each), session.now()),
        each.spec?.until ?? '',
        each.spec?.comment ?? '',
      ]),
    )
  return exit.ok
}

const createdAt = ({ metadata }: Resource): string => metadata.creationTimestamp ?? ''

function settingsOf({ reason, comment, until }: Flags, now: number): Pick<RevocationSpec, 'reason'> & Partial<RevocationSpec> {
  const spelled = (text: string): string => text.toLowerCase().replaceAll(/[-_ ]/g, '')
  const known = reason === undefined ? 'Unspecified' : revocationReasons.find(each => spelled(each) === spelled(reason))
  if (known === undefined) throw badUsage([`--reason ${reason}: must be one of ${revocationReasons.join(', ')}`])
  const span = until === undefined ? undefined : readDuration(until)
  const end = until === undefined ? undefined : span === undefined ? Date.parse(until) : now + span
  if (end !== undefined && Number.isNaN(end))
    throw badUsage([`--until ${until}: must be a duration such as 12h, or a time such as 2026-01-31T12:00:00Z`])
  return {
    reason: known,
    ...(comment === undefined ? {} : { comment }),
    ...(end === undefined ? {} : { until: `${new Date(end).toISOString().slice(0, 19)}Z` }),
  }
}

async function subjectOf(
  client: Client,
  identities: readonly string[],
  serials: readonly string[],
  trustDomains: readonly string[],
): Promise<Subject> {
  const status = identities.some(each => !each.startsWith('spiffe://')) ? await client.status() : undefined
  const whole = (text: string): string => {
    if (text.startsWith('spiffe://')) return text
    const dot = text.indexOf('.')
    const [service, namespace] = dot < 0 ? [text, 'default'] : [text.slice(0, dot), text.slice(dot + 1)]
    return idBy(status?.idTemplate ?? defaultIdTemplate, status?.trustDomain ?? '', { namespace: namespace!, serviceAccount: service! })
  }
  return {
    ...(identities.length === 0 ? {} : { identities: identities.map(whole) }),
    ...(serials.length === 0 ? {} : { serials: serials.map(each => each.replaceAll(':', '').toLowerCase()) }),
    ...(trustDomains.length === 0 ? {} : { trustDomains: [...trustDomains] }),
  }
}

/** What it names, without the trust domain, so that the same is revoked once. */
function nameFor({ identities = [], serials = [], trustDomains = [] }: Subject): string {
  const words = [
    ...identities.map(each => each.replace(/^spiffe:\/\/[^/]+\/(ns\/)?/, '').replaceAll(/\/sa\//g, '/')),
    ...serials.map(each => `serial-${each.slice(0, 16)}`),
    ...trustDomains.map(each => `trust-domain-${each}`),
  ]
  return words
    .join('-')
    .toLowerCase()
    .replaceAll('*', 'all')
    .replaceAll(/[^a-z0-9.]+/g, '-')
    .replaceAll(/^[^a-z0-9]+|[^a-z0-9]+$/g, '')
    .slice(0, 100)
    .replaceAll(/[^a-z0-9]+$/g, '')
}

const told = ({ identities = [], serials = [], trustDomains = [] }: Partial<Subject>): string =>
  [...identities, ...serials.map(each => `serial ${each}`), ...trustDomains.map(each => `trust domain ${each}`)].join(', ')

/** Those that say this and no more; what also names others is for an editor. */
async function takeBack(session: Session, client: Client, subject: Subject, name: string | undefined): Promise<number> {
  const { say } = session
  const items = (await client.list(kind)).items as readonly Revocation[]
  const found = items.filter(each => (name === undefined || each.metadata.name === name) && told(each.spec ?? {}) === told(subject))
  for (const { metadata } of found) {
    await client.delete(kind, metadata.name)
    say.out(`revocation/${metadata.name} ${say.paint('green', 'taken back')}`)
  }
  if (found.length > 0) return exit.ok
  const wider = items.filter(({ spec = {} as Partial<RevocationSpec> }) =>
    [...(subject.identities ?? []), ...(subject.serials ?? [])].some(one => told(spec).includes(one)),
  )
  say.err(
    `weft: no Revocation says just ${told(subject)}${wider.length > 0 ? `; ${wider.map(({ metadata }) => metadata.name).join(', ')} names more: edit it` : ''}`,
  )
  return exit.failed
}
