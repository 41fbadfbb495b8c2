alter table shop.orders add column public_id uuid not null default gen_random_uuid();
alter table shop.orders add constraint orders_customer_fk foreign key (customer_id) references shop.customers (id);
alter table shop.orders alter column number set not null;
alter table shop.orders add constraint orders_number_key unique (number);
create index orders_created_at_idx on shop.orders (created_at);
