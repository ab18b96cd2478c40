/** Rate, success and latency of a service over ten minutes, side by side. */

import type { ReactNode } from 'react'
import { useMemo } from 'react'
import type { Series } from '../api/queries.ts'
import { Chart } from '../shared/chart.tsx'
import { bytesRate, latency, percent, rate } from '../shared/format.ts'
import type { Figures } from '../topology/figures.ts'
import css from './service.module.css'

/** Success is drawn from 90 % up unless it was worse, so that one failure in a hundred can be seen. */
const successRange = (least: number): readonly [number, number] => [
  Math.min(0.9, Math.max(0, (Number.isFinite(least) ? least : 1) - 0.02)),
  1.004,
]

export function Charts({ series, figures, isTcp }: { series: Series | undefined; figures: Figures; isTcp: boolean }): ReactNode {
  const points = series?.points ?? []
  const drawn = useMemo(
    () => ({
      at: points.map(point => point.at),
      rate: [{ name: 'rate', colour: '--accent', isFilled: true, values: points.map(point => point.rate) }],
      success: [{ name: 'success', colour: '--ok', values: points.map(point => (point.rate > 0 ? point.success : null)) }],
      latency: [
        { name: 'p50', colour: '--accent', values: points.map(point => point.p50 ?? null) },
        { name: 'p99', colour: '--warn', values: points.map(point => point.p99 ?? null) },
      ],
      bytes: [{ name: 'bytes', colour: '--warn', isFilled: true, values: points.map(point => point.bytesPerSecond) }],
    }),
    [series],
  )
  const group = `service ${series?.service ?? ''}`
  return (
    <div className={css['charts']} data-rate={figures.rate.toFixed(2)}>
      <Chart title={isTcp ? 'Connections' : 'Requests'} group={group} at={drawn.at} curves={drawn.rate} show={rate} />
      <Chart title="Success" group={group} at={drawn.at} curves={drawn.success} show={percent} range={successRange} />
      {isTcp ? (
        <Chart title="Bytes" group={group} at={drawn.at} curves={drawn.bytes} show={bytesRate} />
      ) : (
        <Chart title="Latency" group={group} at={drawn.at} curves={drawn.latency} show={latency} />
      )}
    </div>
  )
}
