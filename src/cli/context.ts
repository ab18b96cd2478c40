/** Which control plane a command talks to, and the file in which people keep several by name. */

import { type CredentialPlaces, type Credentials, readCredentials } from './credentials.ts'
import { Stopped } from './exit.ts'

/** from: what decided, for error messages: `--control`, `WEFT_CONTROL`, `the context "x"`, `the default`. namespace: where resources are looked for unless said. */
export type ControlAddress = { readonly url: string; readonly from: string; readonly namespace: string; readonly credentials: Credentials }

type Context = { readonly control: string; readonly namespace?: string } & Omit<CredentialPlaces, 'token'>
export type Contexts = { readonly current?: string; readonly contexts: Readonly<Record<string, Context>> }

const defaultControl = 'http://127.0.0.1:7070'

type Sought = {
  readonly flag?: string | undefined
  /** Further flags. */
  readonly places?: CredentialPlaces
  readonly env: Readonly<Record<string, string | undefined>>
  readonly configFolder: string
}

/** --control, then WEFT_CONTROL, then the current context, then the default. Throws Stopped. */
export async function findControl(sought: Sought): Promise<ControlAddress> {
  const { context, ...address } = await findAddress(sought)
  return { ...address, credentials: await readCredentials(sought.places ?? {}, sought.env, context) }
}

/** Credentials of a context are for its own control plane, and for no other. */
async function findAddress({
  flag,
  env,
  configFolder,
}: Sought): Promise<Omit<ControlAddress, 'credentials'> & { readonly context: CredentialPlaces }> {
  const fromEnv = env['WEFT_CONTROL']
  if (flag !== undefined) return { url: controlUrl(flag, '--control'), from: '--control', namespace: 'default', context: {} }
  if (fromEnv !== undefined && fromEnv !== '')
    return { url: controlUrl(fromEnv, 'WEFT_CONTROL'), from: 'WEFT_CONTROL', namespace: 'default', context: {} }
  const { current, contexts } = await readContexts(configFolder)
  if (current === undefined) return { url: defaultControl, from: 'the default', namespace: 'default', context: {} }
  const context = contexts[current]
  if (!context)
    throw new Stopped(
      `${contextsFile(configFolder)}: the current context "${current}" does not exist: choose one with: weft context use NAME`,
    )
  const from = `the context "${current}"`
  return { url: controlUrl(context.control, from), from, namespace: context.namespace ?? 'default', context }
}

/** Scheme, host, port and perhaps a path; without the slash at the end. */
export function controlUrl(text: string, from: string): string {
  const url = URL.parse(text.includes('://') ? text : `http://${text}`)
  if (!url || (url.protocol !== 'http:' && url.protocol !== 'https:') || url.search !== '' || url.hash !== '')
    throw new Stopped(`${from}: "${text}" is not the URL of a control plane; such as ${defaultControl}`, 2)
  return url.href.replace(/\/+$/, '')
}

export const contextsFile = (configFolder: string): string => `${configFolder}/contexts.json`

/** No file is no contexts. Throws Stopped when the file cannot be used. */
export async function readContexts(configFolder: string): Promise<Contexts> {
  const { readTextIfAny } = await import('#io/files')
  const text = await readTextIfAny(contextsFile(configFolder))
  if (text === undefined) return { contexts: {} }
  const wrong = (says: string): Stopped =>
    new Stopped(`${contextsFile(configFolder)}: ${says}: mend it, or remove it and use: weft context set NAME --control URL`)
  let read: unknown
  try {
    read = JSON.parse(text)
  } catch (thrown) {
    throw wrong(`not valid JSON (${(thrown as Error).message})`)
  }
  const { current, contexts } = (read ?? {}) as { current?: unknown; contexts?: unknown }
  if (contexts === null || typeof contexts !== 'object' || Array.isArray(contexts))
    throw wrong('"contexts" must be an object of contexts by name')
  if (current !== undefined && typeof current !== 'string') throw wrong('"current" must be the name of a context')
  for (const [name, context] of Object.entries(contexts))
    if (typeof (context as Context | null)?.control !== 'string') throw wrong(`contexts.${name}.control must be the URL of a control plane`)
  return read as Contexts
}

/** Only this user may read it: a URL may tell more than its owner wants. */
export async function writeContexts(configFolder: string, contexts: Contexts): Promise<void> {
  const { makeFolder, writeAtomic } = await import('#io/files')
  await makeFolder(configFolder)
  await writeAtomic(contextsFile(configFolder), `${JSON.stringify(contexts, undefined, 2)}\n`, { mode: 0o600 })
}
