/** The command that runs many workloads behind one proxy. */

import type { Command } from 'commander'
import { readText } from '#io/files'
import { readWorkloads, saidOf } from '../flags/workloads.ts'
import { runOptions } from '../options.ts'
import type { Session } from '../session.ts'
import { controlFlag, example, sixRandom, type Act, type RemoteFlags } from './shape.ts'

type Flags = RemoteFlags & { readonly file: string }

export function addNode(program: Command, session: Session, act: Act): void {
  const { edge, say } = session
  const node = program
    .command('node')
    .description('put many processes of this machine into the mesh behind one proxy, each with its own identity; ends when all have ended')
    .requiredOption('-f, --file <path>', 'the workloads: a list of what the flags of weft run say')
    .addOption(controlFlag())
    .action(
      act(async (flags: Flags) => {
        const address = await session.address(flags.control)
        const read = readWorkloads(await readText(flags.file), flags.file)
        return edge.node(
          read.map(({ raw, command, env, cwd }, nth) => ({
            ...saidOf(flags.file, nth, () => runOptions(raw, command, address, sixRandom())),
            env,
            ...(cwd === undefined ? {} : { cwd }),
          })),
        )
      }),
    )
  example(node, say, [['weft node -f workloads.yaml', 'see docs/guide/operate.md']])
}
