/** `weft explain policy`: what holds for the calls to a service, field by field, and by whose word; of a running mesh or of files. */

import { compile, type PolicyQuestion, tellPolicies } from '#compiler'
import { type FieldTold, partsOf, type PoliciesTold, type PortTold, tellOverruled, tellValue } from '#model/policies-told'
import type { Resource } from '#resources/kind'
import { admit } from '#resources/validate'
import { type FileFlags, readAll } from '../documents.ts'
import { badUsage, exit, Stopped } from '../exit.ts'
import { printAs } from '../print.ts'
import { tellMatch } from '../proxy/rows.ts'
import type { Session } from '../session.ts'
import { tableLines } from '../table.ts'

type Flags = FileFlags & {
  readonly from?: string
  readonly label?: readonly string[]
  readonly path?: string
  readonly method?: string
  readonly header?: readonly string[]
  readonly route?: string
  readonly output?: 'table' | 'json' | 'yaml'
  readonly namespace?: string
  readonly control?: string
}

export async function explainPolicy(session: Session, place: string, flags: Flags): Promise<number> {
  const { say } = session
  const told = flags.file === undefined ? await online(session, place, flags) : await offline(session, place, flags)
  if (flags.output === 'json' || flags.output === 'yaml') await printAs(say, flags.output, told)
  else for (const line of linesOf(session, told)) say.out(line)
  return exit.ok
}

async function online(session: Session, place: string, flags: Flags): Promise<PoliciesTold> {
  const { client, address } = await session.reach(flags.control)
  const asked = read(place, flags, flags.namespace ?? address.namespace)
  const { path, method, route } = flags
  return client.policies({
    service: `${asked.service}.${asked.namespace}`,
    ...(asked.port === undefined ? {} : { port: String(asked.port) }),
    ...(asked.from === undefined ? {} : { from: `${asked.from.name}.${asked.from.namespace}` }),
    ...(path === undefined ? {} : { path }),
    ...(method === undefined ? {} : { method }),
    ...(route === undefined ? {} : { route }),
    label: flags.label ?? [],
    header: [...headersOf(flags)].map(([name, value]) => `${name}: ${value}`),
  })
}

async function offline(session: Session, place: string, flags: Flags): Promise<PoliciesTold> {
  const namespace = flags.namespace ?? (await session.address(flags.control)).namespace
  const { resources } = await readAll(session, flags, namespace)
  const asked = read(place, flags, namespace)
  const compiled = compile(
    resources.map(admit).map(addressed),
    { workloads: [] },
    { trustDomain: 'weft.local', roots: [], now: session.now() },
  )
  const told = tellPolicies(compiled, asked)
  if (told === undefined)
    throw new Stopped(
      `the files have no Service ${asked.service}.${asked.namespace}${asked.port === undefined ? '' : ` with port ${asked.port}`}`,
    )
  return told
}

/** The control plane gives each Service an address; in files any will do. */
function addressed(resource: Resource): Resource {
  const spec = resource.spec as { readonly clusterIP?: string } | undefined
  return resource.kind !== 'Service' || spec?.clusterIP !== undefined
    ? resource
    : { ...resource, spec: { ...spec, clusterIP: '198.18.0.1' } }
}

function read(place: string, flags: Flags, here: string): PolicyQuestion {
  const wrong: string[] = []
  const found = /^(?<service>[^.:\s]+)(\.(?<namespace>[^.:\s]+))?(:(?<port>\d{1,5}))?$/.exec(place)?.groups
  if (found === undefined) wrong.push(`"${place}" is no SERVICE, SERVICE.NAMESPACE or SERVICE.NAMESPACE:PORT`)
  const labels: Record<string, string> = {}
  for (const text of flags.label ?? []) {
    const [key = '', value] = text.split(/=(.*)/s)
    if (key === '' || value === undefined) wrong.push(`--label "${text}" is no KEY=VALUE`)
    else labels[key] = value
  }
  if (flags.from === undefined && (flags.label ?? []).length > 0) wrong.push('--label needs --from: whose label is it?')
  if (flags.path === undefined && (flags.method !== undefined || (flags.header ?? []).length > 0))
    wrong.push('--method and -H need --path: of which request?')
  if (flags.path?.startsWith('/') === false) wrong.push(`--path "${flags.path}" must begin with "/"`)
  for (const line of flags.header ?? []) if (line.indexOf(':') < 1) wrong.push(`-H "${line}" is no "name: value"`)
  if (wrong.length > 0 || found === undefined) throw badUsage(wrong)
  const { service = '', namespace = here, port } = found
  const [name = '', ofClient = here] = (flags.from ?? '').split('.')
  const headers = headersOf(flags)
  const [pathname = '/', search = ''] = (flags.path ?? '/').split(/\?(.*)/s)
  return {
    service,
    namespace,
    ...(port === undefined ? {} : { port: Number(port) }),
    ...(flags.from === undefined ? {} : { from: { name, namespace: ofClient, labels } }),
    ...(flags.route === undefined ? {} : { route: flags.route }),
    ...(flags.path === undefined
      ? {}
      : {
          request: {
            method: flags.method ?? 'GET',
            host: headers.get('host') ?? service,
            path: pathname,
            search,
            header: key => headers.get(key),
          },
        }),
  }
}

const headersOf = ({ header = [] }: Flags): ReadonlyMap<string, string> =>
  new Map(
    header.map(line => {
      const colon = line.indexOf(':')
      return [line.slice(0, colon).trim().toLowerCase(), line.slice(colon + 1).trim()] as const
    }),
  )

const headings = [{ name: 'Field' }, { name: 'Value' }, { name: 'From' }, { name: 'Overruled' }] as const

function linesOf({ say }: Session, { service, client, ports }: PoliciesTold): readonly string[] {
  const who = client === undefined ? 'a client that no policy names' : `${client.service}.${client.namespace}${labelsOf(client.labels)}`
  const parts = ports.flatMap(port => partsOf(port).map(part => ({ ...part, port })))
  const widths = headings
    .slice(0, -1)
    .map((_, at) => Math.max(0, ...parts.flatMap(({ fields }) => fields.map(field => [...rowOf(field)[at]!].length))))
  return [
    `${say.paint('bold', service)} for ${who}`,
    ...parts.flatMap(({ port, title, match, fields }) => [
      '',
      say.paint('bold', `${tellPort(service, port)}, ${title}${match === undefined ? '' : `: ${tellMatch(match)}`}`),
      ...tableLines(say, headings, fields.map(rowOf), widths),
    ]),
  ]
}

const tellPort = (service: string, { port, name, protocol }: PortTold): string =>
  `${service}:${port}${name === undefined ? '' : ` (${name})`} ${protocol}`

const labelsOf = (labels: Readonly<Record<string, string>>): string => {
  const all = Object.entries(labels).map(([key, value]) => `${key}=${value}`)
  return all.length === 0 ? '' : ` (${all.join(', ')})`
}

const rowOf = (field: FieldTold): readonly string[] => [field.field, tellValue(field.value), field.by, tellOverruled(field)]
