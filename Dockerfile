# syntax=docker/dockerfile:1
# The Temporal SDK has native parts for glibc only: no Alpine.
ARG NODE_IMAGE=node:22.21.1-bookworm-slim

FROM ${NODE_IMAGE} AS build
WORKDIR /app
COPY package.json package-lock.json .npmrc ./
RUN npm ci --ignore-scripts
COPY tsconfig.base.json tsconfig.build.json ./
COPY scripts scripts
COPY src src
RUN npm run build && npm prune --omit=dev --ignore-scripts

# Python runs the launcher, which holds every kernel lock.
FROM ${NODE_IMAGE} AS control
RUN apt-get update \
  && apt-get install -y --no-install-recommends ca-certificates python3 \
  && rm -rf /var/lib/apt/lists/*
WORKDIR /app
COPY --from=build /app/package.json ./
COPY --from=build /app/node_modules node_modules
COPY --from=build /app/dist dist
COPY schedules schedules
COPY trainers trainers
COPY deploy/worker-health.js deploy/
ENV NODE_ENV=production TOWER_HOME=/var/lib/tower XDG_CACHE_HOME=/var/cache
# New named volumes take over the owner of these folders.
RUN install -d -o node -g node /var/lib/tower /var/cache/tower
USER node
ENTRYPOINT ["node", "dist/client.js"]
CMD ["worker"]

# What building the trainer's environment and running it need beside: once, into the cache volume,
#   docker compose --profile gpu run --rm --no-deps tower-gpu trainer install --device cuda
FROM control AS gpu
USER root
RUN apt-get update \
  && apt-get install -y --no-install-recommends python3-venv python3-pip gcc libc6-dev python3-dev \
  && rm -rf /var/lib/apt/lists/*
ENV NVIDIA_DRIVER_CAPABILITIES=compute,utility NVIDIA_VISIBLE_DEVICES=all
USER node
