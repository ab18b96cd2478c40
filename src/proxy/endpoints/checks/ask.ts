/** Puts the question of a health check to one endpoint: by HTTP, by a call of gRPC or by a connection, on the ways that requests take too. */

import { longestTimerMs } from '#base/clock'
import { Failure } from '#base/failure'
import type { Socket } from '#io/net'
import type { Backend, Endpoint } from '#model/backend'
import type { HealthQuestion } from '#model/endpoint-health'
import { connect } from '../../upstreams/connect.ts'
import type { Reach } from '../../upstreams/reach.ts'
import type { Lane } from '../../upstreams/lane.ts'
import type { Upstream } from '../../upstreams/upstream.ts'
import { Http1Upstream } from '../../upstreams/upstream-http1.ts'
import { Multiplexed } from '../../upstreams/multiplexed.ts'
import { askConnection } from './connection.ts'
import { callQuestion, httpQuestion, type Question } from './question.ts'
import { failed, type Verdict } from './verdict.ts'

export type Ask = (backend: Backend, endpoint: Endpoint, question: HealthQuestion, timeoutMs: number) => Promise<Verdict>

/** lanesTo: the connections that requests use. */
export function asking(
  lanesTo: (backend: Backend, endpoint: Endpoint) => { readonly http1: Lane; readonly http2: Lane },
  reach: Reach,
): Ask {
  return async (backend, endpoint, question, timeoutMs) => {
    try {
      if (question.type === 'tcp') return await askConnection(backend, endpoint, question, reach, timeoutMs)
      const isHttp1 = question.type === 'http' && backend.protocol !== 'http2'
      const asked = question.type === 'http' ? httpQuestion(question, backend, isHttp1) : callQuestion(question, backend)
      if (backend.protocol === 'tcp') return await askAlone(asked, backend, endpoint, reach, isHttp1, timeoutMs)
      const lanes = lanesTo(backend, endpoint)
      const lane = isHttp1 ? lanes.http1 : lanes.http2
      return await answered(asked, () => lane.take() ?? lane.open(), timeoutMs)
    } catch (thrown) {
      return verdictOn(thrown)
    }
  }
}

/** By a call over a connection that is there, which is of no use afterwards. */
export async function askCall(socket: Socket, service: string, timeoutMs: number): Promise<Verdict> {
  const asked = callQuestion({ type: 'grpc', service }, { service: 'localhost', protocol: 'http2' })
  return answered(asked, () => new Multiplexed({ socket, identity: undefined }, unwatched).stream(), timeoutMs).catch(verdictOn)
}

/** Of opaque bytes no connection is kept that requests could go on. */
async function askAlone(
  asked: Question,
  backend: Backend,
  endpoint: Endpoint,
  reach: Reach,
  isHttp1: boolean,
  timeoutMs: number,
): Promise<Verdict> {
  let close = () => {}
  const open = async () => {
    const connected = await connect(backend, endpoint, reach, [])
    close = () => connected.socket.destroy()
    return isHttp1 ? new Http1Upstream(connected, upstream => upstream.close()) : new Multiplexed(connected, unwatched).stream()
  }
  return answered(asked, open, timeoutMs).finally(() => close())
}
const unwatched = { over: () => {}, room: () => {} }

function answered({ exchange, head, verdict }: Question, open: () => Upstream | Promise<Upstream>, timeoutMs: number): Promise<Verdict> {
  return new Promise((resolve, reject) => {
    let upstream: Upstream | undefined
    let isOver = false
    const over = (failure: Failure | undefined) => {
      if (isOver) return
      isOver = true
      clearTimeout(timer)
      if (failure === undefined) resolve(verdict())
      else reject(failure)
    }
    const timer = setTimeout(
      () => {
        const late = new Failure('upstream-timeout', `no answer within ${timeoutMs} ms`)
        over(late)
        upstream?.expire(late)
      },
      Math.min(timeoutMs, longestTimerMs),
    )
    Promise.resolve()
      .then(open)
      .then(
        opened => {
          if (isOver) return opened.close()
          upstream = opened
          exchange.upstream = opened
          opened.relay(exchange, head, answer => answer, { settled: over })
        },
        (thrown: unknown) => {
          if (thrown instanceof Failure) return over(thrown)
          isOver = true
          clearTimeout(timer)
          reject(thrown)
        },
      )
      .catch(reject)
  })
}

/** What is not the endpoint's fault says nothing of it. */
function verdictOn(thrown: unknown): Verdict {
  if (!(thrown instanceof Failure)) throw thrown
  return thrown.blame === 'upstream' ? failed(thrown.code, thrown.detail) : { is: 'unknown' }
}
