/** `weft status`: is the mesh well? */

import type { ControlStatus } from '#api/mesh-api'
import { defaultIdTemplate } from '#base/id-template'
import { exit } from '../exit.ts'
import { tellLeft, tellSpan } from '../moment.ts'
import { printAs } from '../print.ts'
import { proxyHeadings, proxyRow } from '../proxy/rows.ts'
import type { Session } from '../session.ts'
import { printTable } from '../table.ts'
import { count } from '../words.ts'
import { concerns } from '../status/judge.ts'
import { goStrict, tellMtls } from '../status/mtls.ts'
import { keepSeen } from '../status/seen.ts'

type Flags = { readonly output?: 'table' | 'json' | 'yaml'; readonly control?: string }

/** Fails when the control plane does not answer, or something needs attention. */
export async function status(session: Session, { output = 'table', control }: Flags): Promise<number> {
  const { client, address } = await session.reach(control)
  const now = session.now()
  let current: ControlStatus
  try {
    current = await client.status()
  } catch (thrown) {
    if ((thrown as Error).name !== 'Unreachable') throw thrown
    return (await import('../status/down.ts')).tellDown(session, address, thrown as Error, output)
  }
  await keepSeen(session.edge.configFolder, address.url, current, now)
  const wrong = concerns(current, now)
  if (output === 'table') show(session, address.url, current, wrong, now)
  else await printAs(session.say, output, { reachable: true, control: address.url, ...current, concerns: wrong })
  return wrong.length > 0 ? exit.failed : exit.ok
}

function show(
  { say }: Session,
  url: string,
  { version, startedAt, trustDomain, idTemplate = defaultIdTemplate, xds, store, certificates, mtls, proxies }: ControlStatus,
  wrong: readonly string[],
  now: number,
): void {
  const line = (name: string, text: string): void => say.out(`${say.paint('bold', name.padEnd(15))}${text}`)
  line(
    'control plane',
    `${say.paint('green', 'up')} ${tellSpan(now - Date.parse(startedAt))}, version ${version}, ${url}, proxies at ${xds.host}:${xds.port}`,
  )
  line('trust domain', idTemplate === defaultIdTemplate ? trustDomain : `${trustDomain}, ids spiffe://${trustDomain}${idTemplate}`)
  line('store', `revision ${store.revision}, ${store.path}`)
  line('certificates', certificates.map(({ use, notAfter }) => `${use} ${tellLeft(notAfter, now)}`).join(', '))
  const { isStrict, says: mtlsSays } = tellMtls(mtls)
  line('mutual TLS', isStrict ? mtlsSays : `${say.paint('yellow', mtlsSays)}; ${goStrict}`)
  const synced = proxies.filter(({ state }) => state === 'synced').length
  line('proxies', `${count(proxies.length, 'proxy', 'proxies')}, ${synced} in sync`)
  if (proxies.length > 0) {
    say.out('')
    printTable(
      say,
      proxyHeadings,
      [...proxies].sort((a, b) => (a.id < b.id ? -1 : 1)).map(proxy => proxyRow(proxy, now)),
    )
  }
  if (wrong.length > 0) say.out('')
  for (const says of wrong) say.out(`${say.paint('red', '!')} ${says}`)
}
