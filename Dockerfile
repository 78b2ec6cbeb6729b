# docker build --tag xconnect-gateway .
# docker build --build-arg OMIT=--omit=dev --tag xconnect-gateway .
#   for the embedded database and GraphiQL as well

FROM node:24-slim AS build
WORKDIR /build
COPY package.json package-lock.json ./
RUN npm ci --ignore-scripts --no-audit --no-fund
COPY . .
RUN npm run build

FROM node:24-slim AS dependencies
WORKDIR /app
# What npm leaves out: PGlite, GraphiQL and React are the optional dependencies.
ARG OMIT="--omit=dev --omit=optional"
COPY package.json package-lock.json ./
RUN npm ci $OMIT --ignore-scripts --no-audit --no-fund

FROM node:24-slim
ENV NODE_ENV=production
WORKDIR /app
COPY --from=dependencies /app/node_modules ./node_modules
COPY --from=build /build/dist ./
USER node
EXPOSE 3000
HEALTHCHECK --interval=10s --timeout=5s --start-period=60s CMD ["node", "-e", "fetch(`http://127.0.0.1:${process.env.PORT ?? 3000}/healthz`).then(({ ok }) => process.exit(ok ? 0 : 1), () => process.exit(1))"]
CMD ["node", "--import=./lib/process/quick-imports.js", "--max-semi-space-size=8", "--disable-warning=ExperimentalWarning", "lib/main.js"]
