/** `weft context`: control planes by name, in contexts.json. */

import { nearest } from '#base/near'
import { contextsFile, controlUrl, readContexts, writeContexts, type Contexts } from '../context.ts'
import type { CredentialPlaces } from '../credentials.ts'
import { exit, Stopped } from '../exit.ts'
import { Flags } from '../flags/collect.ts'
import { printAs } from '../print.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'

export async function listContexts(
  { say, edge }: Session,
  { output = 'table' }: { readonly output?: 'table' | 'json' | 'yaml' | 'name' },
): Promise<number> {
  const all = await readContexts(edge.configFolder)
  const names = Object.keys(all.contexts).sort()
  if (output === 'json' || output === 'yaml') await printAs(say, output, all)
  else if (output === 'name') for (const name of names) say.out(name)
  else if (names.length === 0) say.err('no contexts yet: weft context set NAME --control URL')
  else
    printTable(
      say,
      [{ name: 'current' }, { name: 'name' }, { name: 'control' }, { name: 'namespace' }],
      names.map(name => [name === all.current ? '*' : '', name, all.contexts[name]!.control, all.contexts[name]!.namespace ?? 'default']),
    )
  return exit.ok
}

export async function useContext({ say, edge }: Session, name: string): Promise<number> {
  const all = await readContexts(edge.configFolder)
  await requireContext(edge.configFolder, all, name)
  await writeContexts(edge.configFolder, { ...all, current: name })
  say.out(`current context: ${name}, ${all.contexts[name]!.control}`)
  if ((edge.env['WEFT_CONTROL'] ?? '') !== '') say.err('weft: WEFT_CONTROL is set and goes before the context')
  return exit.ok
}

export async function setContext(
  { say, edge }: Session,
  name: string,
  given: { readonly control?: string; readonly namespace?: string } & CredentialPlaces,
): Promise<number> {
  const flags = new Flags(given)
  const all = await readContexts(edge.configFolder)
  const before = all.contexts[name]
  const namespace = flags.label('namespace') ?? before?.namespace
  const control =
    given.control === undefined
      ? (before?.control ?? flags.missing('--control', 'the URL of its operator API, such as http://127.0.0.1:7070', ''))
      : controlUrl(given.control, '--control')
  if (!/^[\w.@-]{1,100}$/.test(name)) flags.wrong(`"${name}" cannot be the name of a context: use letters, digits, ".", "_", "-" and "@"`)
  if (given.token !== undefined)
    flags.wrong('--token: a token is not kept among contexts: put it into a file that only you can read, and give --token-file')
  flags.stopIfWrong()
  const places = { ...placesOf(before ?? {}, edge.cwd), ...placesOf(given, edge.cwd) }
  const context = { control, ...(namespace === undefined ? {} : { namespace }), ...places }
  await writeContexts(edge.configFolder, { current: all.current ?? name, contexts: { ...all.contexts, [name]: context } })
  say.out(
    `context ${name} ${before ? 'changed' : 'added'}: ${control}${all.current === undefined || all.current === name ? ' (current)' : ''}`,
  )
  return exit.ok
}

/** Files, wherever the next command is started. */
function placesOf(given: CredentialPlaces, cwd: string): Omit<CredentialPlaces, 'token'> {
  const { tokenFile, ca, clientCert, clientKey } = given
  const named = Object.entries({ tokenFile, ca, clientCert, clientKey }).filter(([, path]) => path !== undefined)
  return Object.fromEntries(named.map(([name, path]) => [name, path!.startsWith('/') ? path : `${cwd}/${path}`]))
}

export async function deleteContext({ say, edge }: Session, name: string): Promise<number> {
  const all = await readContexts(edge.configFolder)
  await requireContext(edge.configFolder, all, name)
  const { [name]: _, ...contexts } = all.contexts
  const { current, ...rest } = all
  await writeContexts(edge.configFolder, { ...rest, contexts, ...(current === undefined || current === name ? {} : { current }) })
  say.out(`context ${name} deleted${current === name ? '; there is no current one now: weft context use NAME' : ''}`)
  return exit.ok
}

export async function showContext(
  session: Session,
  { control, output }: { readonly control?: string; readonly output?: 'json' | 'yaml' },
): Promise<number> {
  const { url, from, namespace } = await session.address(control)
  if (output) await printAs(session.say, output, { control: url, from, namespace })
  else session.say.out(`${url} (from ${from}), namespace ${namespace}`)
  return exit.ok
}

async function requireContext(configFolder: string, { contexts }: Contexts, name: string): Promise<void> {
  if (Object.hasOwn(contexts, name)) return
  const names = Object.keys(contexts)
  if (names.length === 0)
    throw new Stopped(`${contextsFile(configFolder)}: there are no contexts yet: weft context set ${name} --control URL`)
  const near = nearest(name, names)
  throw new Stopped(`there is no context "${name}"${near === undefined ? '.' : `; did you mean "${near}"?`} There are: ${names.join(', ')}`)
}
