/** The states of a page that has nothing to show: still loading, nothing there, or refused. */

import { Button, Center, Loader, Stack, Text, Title } from '@mantine/core'
import { IconAlertTriangle, IconPlugConnectedX } from '@tabler/icons-react'
import type { ReactNode } from 'react'
import { ApiError, isGone } from '../api/queries.ts'

export const Empty = ({ icon, title, children }: { icon: ReactNode; title: string; children?: ReactNode }) => (
  <Center mih={280} p="xl" data-testid="empty">
    <Stack align="center" gap={6} maw={560} ta="center">
      <Text c="dimmed" component="span" lh={1} mb={4} aria-hidden>
        {icon}
      </Text>
      <Title order={2}>{title}</Title>
      <Text c="dimmed" size="sm" component="div">
        {children}
      </Text>
    </Stack>
  </Center>
)

export const Loading = () => (
  <Center mih={280} aria-label="Loading">
    <Loader size="sm" type="dots" />
  </Center>
)

const isForbidden = (error: Error): boolean => error instanceof ApiError && error.code === 403

/** A question that was answered with an error and never yet with data. */
export const Refused = ({ error, retry }: { error: Error; retry?: () => void }) => (
  <Empty
    icon={isGone(error) ? <IconPlugConnectedX /> : <IconAlertTriangle />}
    title={isGone(error) ? 'The control plane does not answer' : isForbidden(error) ? 'Your role does not show this' : 'That did not work'}
  >
    {isGone(error) ? 'This page fills as soon as it is back. Start it with: weft control' : error.message}
    {retry && (
      <div>
        <Button variant="default" size="xs" mt="md" onClick={retry}>
          Ask again
        </Button>
      </div>
    )}
  </Empty>
)
