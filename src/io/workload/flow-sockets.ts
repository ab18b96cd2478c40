/** UDP sockets made inside a workload's network namespace, one at a time, for use from outside. */

import type { Given, Wanted } from '../namespace/messages.ts'
import type { Namespace } from '../namespace.ts'
import type { Destination } from '../sockopt.ts'

export class FlowSockets {
  readonly #port: Namespace['flows']
  readonly #wanted = new Map<number, (given: Given) => void>()
  #next = 0

  constructor({ flows }: Namespace) {
    this.#port = flows
    flows.on('message', (given: Given) => {
      this.#wanted.get(given.id)?.(given)
      this.#wanted.delete(given.id)
    })
    flows.unref()
  }

  /** Bound to that place, whosever address it is; port 0: any. Resolves with a file descriptor, which is the caller's to close. */
  make(place: Destination): Promise<number> {
    return new Promise((resolve, reject) => {
      const id = this.#next++
      this.#wanted.set(id, ({ fd, failed }) => (fd === undefined ? reject(new Error(failed)) : resolve(fd)))
      this.#port.postMessage({ id, host: place.host, port: place.port } satisfies Wanted)
    })
  }
}
